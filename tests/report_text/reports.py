"""A report in the style of CT-RATE's."""

from __future__ import annotations

CT_RATE_REPORT = """\
Trachea and both main bronchi are open. Mediastinal vascular structures are normal. Calibration of
the aorta is normal; calcified atheromatous plaques are seen in the aortic arch and the coronary
arteries. Heart size is normal. Pericardial and pleural effusion was not detected. Sliding type
hiatal hernia is observed at the lower end of the esophagus. No lymph node was detected in
mediastinal, upper-lower paratracheal and hilar pathological size and appearance. There are
subsegmental atelectatic changes in the right middle lobe. A few millimetric nonspecific nodules are
seen in the left lung. No mass or infiltrative lesion was detected in both lungs. In the upper
abdominal sections, the liver shows a hypodense lesion. It measures 12 mm. A nodule of 15 mm is seen
in the left adrenal gland. No lytic lesion was detected in bone structures.
""".replace("\n", " ")
