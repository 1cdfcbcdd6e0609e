"""Sentences as radiologists write them, and what is right to read in them.

Every consumer of `report_text` is run through this table: see `test_phrases.py` here and beside
the safety notes, the suggestions, the rewriting and the instructions.
"""

from __future__ import annotations

from typing import NamedTuple

MATERIAL = "Medical material"
ARTERIAL = "Arterial wall calcification"
HEART = "Cardiomegaly"
PERICARDIAL = "Pericardial effusion"
CORONARY = "Coronary artery wall calcification"
HERNIA = "Hiatal hernia"
NODES = "Lymphadenopathy"
EMPHYSEMA = "Emphysema"
ATELECTASIS = "Atelectasis"
NODULE = "Lung nodule"
OPACITY = "Lung opacity"
FIBROTIC = "Pulmonary fibrotic sequela"
PLEURAL = "Pleural effusion"
MOSAIC = "Mosaic attenuation pattern"
BRONCHIAL = "Peribronchial thickening"
CONSOLIDATION = "Consolidation"
BRONCHIECTASIS = "Bronchiectasis"
SEPTAL = "Interlobular septal thickening"


class Phrase(NamedTuple):
    """A sentence, the findings that are in it, and what it says to a yes/no question."""

    text: str
    affirmed: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()
    open: tuple[str, ...] = ()  # suspected, not excluded, past
    yes: bool | None = None


PHRASES = (
    # Each finding in its usual words.
    Phrase("There is a lung nodule.", (NODULE,), yes=True),
    Phrase("Multiple pulmonary nodules are seen in both lungs.", (NODULE,), yes=True),
    Phrase("A few millimetric nonspecific nodules are observed.", (NODULE,), yes=True),
    Phrase("6 mm nodule in the right upper lobe (series 3, image 84).", (NODULE,)),
    Phrase("Centrilobular micronodules in the left lower lobe.", (NODULE,)),
    Phrase("There is ground-glass opacity in the right lower lobe.", (OPACITY,), yes=True),
    Phrase("Patchy ground glass densities in the periphery of both lungs.", (OPACITY,)),
    Phrase("Bilateral pulmonary infiltrates are present.", (OPACITY,), yes=True),
    Phrase("Nodular opacities in the lingula.", (NODULE, OPACITY)),
    Phrase("Mediastinal lymph nodes are enlarged.", (NODES,), yes=True),
    Phrase("Enlarged lymph nodes in the right hilum.", (NODES,)),
    Phrase("Mediastinal and hilar lymphadenopathy is noted.", (NODES,), yes=True),
    Phrase("Bulky subcarinal adenopathy.", (NODES,)),
    Phrase("The CT shows mild emphysema.", (EMPHYSEMA,), yes=True),
    Phrase("Centrilobular and paraseptal emphysematous changes.", (EMPHYSEMA,)),
    Phrase("Subsegmental atelectatic changes in the right middle lobe.", (ATELECTASIS,)),
    Phrase("Linear atelectases at both lung bases.", (ATELECTASIS,)),
    Phrase("The heart is mildly enlarged.", (HEART,), yes=True),
    Phrase("Heart size has increased.", (HEART,)),
    Phrase("The cardiac silhouette is markedly enlarged.", (HEART,), yes=True),
    Phrase("Cardiomegaly.", (HEART,)),
    Phrase("Small pericardial effusion.", (PERICARDIAL,)),
    Phrase("Fluid is seen: pericardial fluid up to 8 mm.", (PERICARDIAL,), yes=True),
    Phrase("Calcified plaques of the coronary arteries are seen.", (CORONARY,), yes=True),
    Phrase("Coronary artery calcifications.", (CORONARY,)),
    Phrase(
        "Atherosclerotic calcifications of the aorta and coronary arteries.", (ARTERIAL, CORONARY)
    ),
    Phrase("Calcified atheromatous plaques in the aortic arch.", (ARTERIAL,)),
    Phrase("There is a sliding-type hiatal hernia.", (HERNIA,), yes=True),
    Phrase("Small hiatus hernia at the oesophagogastric junction.", (HERNIA,)),
    Phrase("Paraesophageal hernia is noted.", (HERNIA,), yes=True),
    Phrase("Fibrotic bands and scarring at the apices.", (FIBROTIC,)),
    Phrase("Pleuroparenchymal sequelae in both upper lobes.", (FIBROTIC,)),
    Phrase("Fibroatelectatic sequela changes in the lingula.", (FIBROTIC, ATELECTASIS)),
    Phrase("Bilateral pleural effusions with compressive atelectasis.", (PLEURAL, ATELECTASIS)),
    Phrase("Small right-sided effusion.", (PLEURAL,)),
    Phrase("There is free fluid in the left pleural space.", (PLEURAL,), yes=True),
    Phrase("Mosaic attenuation in both lungs.", (MOSAIC,)),
    Phrase("A mosaic perfusion pattern is present.", (MOSAIC,), yes=True),
    Phrase("Peribronchial cuffing.", (BRONCHIAL,)),
    Phrase("The bronchial walls are thickened.", (BRONCHIAL,), yes=True),
    Phrase("Peribronchial and interlobular septal thickening.", (BRONCHIAL, SEPTAL)),
    Phrase("Consolidation with air bronchograms in the left lower lobe.", (CONSOLIDATION,)),
    Phrase("Consolidative opacities in both lower lobes.", (CONSOLIDATION, OPACITY)),
    Phrase("Traction bronchiectasis at the bases.", (BRONCHIECTASIS,)),
    Phrase("Bronchiectatic changes and dilated bronchi are seen.", (BRONCHIECTASIS,), yes=True),
    Phrase("Smooth thickening of the interlobular septa.", (SEPTAL,)),
    Phrase("Interlobular septa are thickened.", (SEPTAL,), yes=True),
    Phrase("A pacemaker is in the left chest wall.", (MATERIAL,)),
    Phrase("Port catheter with its tip in the right atrium.", (MATERIAL,)),
    Phrase("Sternotomy wires and coronary stents are noted.", (MATERIAL,), yes=True),
    Phrase("Endotracheal tube and nasogastric tube in place.", (MATERIAL,)),
    # Denied.
    Phrase("No pleural effusion.", (), (PLEURAL,), yes=False),
    Phrase("There is no evidence of pulmonary nodules.", (), (NODULE,), yes=False),
    Phrase("No pleural or pericardial effusion.", (), (PLEURAL, PERICARDIAL), yes=False),
    Phrase("Neither pleural nor pericardial effusion is seen.", (), (PLEURAL, PERICARDIAL),
           yes=False),
    Phrase("No pleural thickening or effusion was detected.", (), (PLEURAL,), yes=False),
    Phrase("Pericardial effusion-thickening was not observed.", (), (PERICARDIAL,), yes=False),
    Phrase("Nodule, consolidation or pleural effusion is not seen.", (),
           (NODULE, CONSOLIDATION, PLEURAL), yes=False),
    Phrase("Lymphadenopathy is absent.", (), (NODES,), yes=False),
    Phrase("The mediastinal lymph nodes are not enlarged.", (), (NODES,), yes=False),
    Phrase("No pathologically enlarged lymph nodes.", (), (NODES,), yes=False),
    Phrase("The heart is not enlarged.", (), (HEART,), yes=False),
    Phrase("Negative for consolidation.", (), (CONSOLIDATION,), yes=False),
    Phrase("The lungs are clear without consolidation or nodules.", (), (CONSOLIDATION, NODULE),
           yes=False),
    Phrase("Both lungs are free of emphysema.", (), (EMPHYSEMA,), yes=False),
    Phrase("The image does not show bronchiectasis.", (), (BRONCHIECTASIS,), yes=False),
    Phrase("The CT shows no nodule.", (), (NODULE,), yes=False),
    Phrase("Absence of interlobular septal thickening.", (), (SEPTAL,), yes=False),
    Phrase("The pleural effusion has resolved.", (), (PLEURAL,), yes=False),
    Phrase("The previously described nodule is no longer visible.", (), (NODULE,), yes=False),
    Phrase("Pleural effusion: none.", (), (PLEURAL,), yes=False),
    Phrase("Mosaic attenuation - absent.", (), (MOSAIC,), yes=False),
    Phrase("No suspicious pulmonary nodule.", (), (NODULE,), yes=False),
    Phrase("The port catheter has been removed.", (), (MATERIAL,), yes=False),
    Phrase("No evidence of an effusion, a consolidation or a nodule.", (),
           (CONSOLIDATION, NODULE), yes=False),
    Phrase("No hiatal hernia.", (), (HERNIA,), yes=False),
    Phrase("No atelectasis, infiltrates or fibrotic changes.", (), (ATELECTASIS, OPACITY, FIBROTIC),
           yes=False),
    Phrase("There is no peribronchial thickening.", (), (BRONCHIAL,), yes=False),
    Phrase("No calcification of the coronary arteries.", (), (CORONARY,), yes=False),
    Phrase("The aorta shows no calcified plaques.", (), (ARTERIAL,), yes=False),
    # "No X but Y", "X without Y" and others that say both.
    Phrase("No pleural effusion but a consolidation in the left lower lobe.", (CONSOLIDATION,),
           (PLEURAL,), yes=False),
    Phrase("No consolidation, however there is a small nodule.", (NODULE,), (CONSOLIDATION,),
           yes=False),
    Phrase("No pleural effusion, only mild atelectasis.", (ATELECTASIS,), (PLEURAL,), yes=False),
    Phrase("No pleural effusion, a 6 mm nodule in the left upper lobe.", (NODULE,), (PLEURAL,),
           yes=False),
    Phrase("No pleural effusion is seen, ground-glass opacities are present.", (OPACITY,),
           (PLEURAL,), yes=False),
    Phrase("Pericardial effusion is not seen, nodules are unchanged.", (NODULE,), (PERICARDIAL,),
           yes=False),
    Phrase("There is a consolidation without pleural effusion.", (CONSOLIDATION,), (PLEURAL,),
           yes=True),
    Phrase("Emphysema with no nodules.", (EMPHYSEMA,), (NODULE,)),
    Phrase("There is a nodule, pleural effusion is not seen.", (NODULE,), (PLEURAL,), yes=True),
    Phrase("A nodule in the left lung, pleural effusion is not seen.", (NODULE,), (PLEURAL,)),
    Phrase("No abnormality except for mild cardiomegaly.", (HEART,)),
    Phrase("Atelectasis rather than consolidation.", (ATELECTASIS,), (CONSOLIDATION,)),
    Phrase("Lungs: no nodule. Pleura: small pleural effusion.", (PLEURAL,), (NODULE,),
           yes=False),
    # Denials that deny something else.
    Phrase("No significant change in the nodule of the right lower lobe.", (NODULE,)),
    Phrase("The pulmonary nodule is not significantly changed.", (NODULE,)),
    Phrase("Not only emphysema but also bronchiectasis is present.", (EMPHYSEMA, BRONCHIECTASIS),
           yes=True),
    Phrase("No enhancement is seen in the nodule of the lingula.", (NODULE,), yes=True),
    Phrase("CT without contrast shows a consolidation.", (CONSOLIDATION,)),
    # Suspected, or not excluded.
    Phrase("A lung nodule cannot be excluded.", open=(NODULE,)),
    Phrase("A small pleural effusion can not be ruled out.", open=(PLEURAL,)),
    Phrase("We cannot exclude lymphadenopathy.", open=(NODES,)),
    Phrase("There is possible consolidation in the lingula.", open=(CONSOLIDATION,)),
    Phrase("Opacity that may represent atelectasis.", (OPACITY,), open=(ATELECTASIS,)),
    Phrase("Ground-glass opacity, possibly early consolidation.", (OPACITY,),
           open=(CONSOLIDATION,)),
    Phrase("Lymphadenopathy cannot be evaluated without contrast.", open=(NODES,)),
    Phrase("No new pulmonary nodule.", open=(NODULE,)),
    Phrase("I cannot say whether there is a nodule.", open=(NODULE,)),
    Phrase("I cannot say."),
    Phrase("A mass of the chest wall cannot be excluded."),
    Phrase("Nodule in the right upper lobe, suspicious for malignancy.", (NODULE,)),
    # Past.
    Phrase("Status post resection of a pulmonary nodule.", open=(NODULE,)),
    Phrase("S/p drainage of a pleural effusion, small residual consolidation.", (CONSOLIDATION,),
           open=(PLEURAL,)),
    Phrase("History of emphysema.", open=(EMPHYSEMA,)),
    Phrase("Status post sternotomy with sternal wires.", (MATERIAL,)),
    Phrase("Status post coronary stent placement.", (MATERIAL,)),
    Phrase("Status post removal of the port catheter.", open=(MATERIAL,)),
    # None of the 18 findings.
    Phrase("There is a nodule in the right lobe of the thyroid.", yes=True),
    Phrase("Thyroid nodules are seen.", yes=True),
    Phrase("A nodule of 15 mm is seen in the left adrenal gland.", yes=True),
    Phrase("Thyroid nodule and a nodule in the right upper lobe.", (NODULE,)),
    Phrase("Pulmonary and hepatic nodules.", (NODULE,)),
    Phrase("Subcutaneous emphysema of the neck."),
    Phrase("Aortic valve calcification."),
    Phrase("Interventricular septal thickening."),
    Phrase("Good opacification of the pulmonary arteries."),
    Phrase("Soft plaques in the coronary arteries."),
    Phrase("Both lungs are clear."),
    Phrase("Lymph nodes are of normal size, the heart is enlarged.", (HEART,), yes=True),
)  # fmt: skip

# Questions as readers ask them, and the findings that they are about.
QUESTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Is there a lung nodule?", (NODULE,)),
    ("Is there a pulmonary nodule?", (NODULE,)),
    ("Is there a nodule in the right upper lobe?", (NODULE,)),
    ("Any lung lesions or nodules?", (NODULE,)),
    ("Any lung lesions?", (NODULE,)),
    ("How many nodules are there?", (NODULE,)),
    ("Is there a mass in the left lung?", (NODULE,)),
    ("Where is the nodular opacity?", (NODULE, OPACITY)),
    ("is there a micronodule", (NODULE,)),
    ("No nodules, right?", (NODULE,)),
    ("Is there a thyroid nodule?", ()),
    ("Is there a nodule in the liver?", ()),
    ("Is there a thyroid nodule or a lung nodule?", (NODULE,)),
    ("Are there bone lesions?", ()),
    ("Is this scan normal?", ()),
    ("How old is the patient?", ()),
    ("Is the heart enlarged?", (HEART,)),
    ("How big is the heart?", (HEART,)),
    ("Is the heart too big?", (HEART,)),
    ("What is the size of the heart?", (HEART,)),
    ("Is there an effusion?", (PERICARDIAL, PLEURAL)),
    ("Is there a pleural effusion?", (PLEURAL,)),
    ("Is there fluid around the lungs?", (PLEURAL,)),
    ("Are the lymph nodes enlarged?", (NODES,)),
    ("What about the lymph nodes?", (NODES,)),
    ("Is there ground glass?", (OPACITY,)),
    ("Are there infiltrates?", (OPACITY,)),
    ("Is there coronary calcium?", (CORONARY,)),
    ("Are there any calcifications?", (ARTERIAL, CORONARY)),
    ("Is the aorta calcified?", (ARTERIAL,)),
    ("Does this image show signs of interlobular septal thickening?", (SEPTAL,)),
    ("Is there scarring?", (FIBROTIC,)),
    ("Is part of the lung collapsed?", (ATELECTASIS,)),
    ("Is there a hernia?", (HERNIA,)),
    ("Is there a pacemaker or a catheter?", (MATERIAL,)),
    ("Are the bronchi dilated?", (BRONCHIECTASIS,)),
    ("Are the bronchial walls thick?", (BRONCHIAL,)),
    ("Is there pneumothorax?", ()),
    ("Is there a knee effusion?", ()),
    ("Is there an inguinal hernia?", ()),
    ("Do you see a herniated disc in the neck?", ()),
    ("What is the tube voltage of this scan?", ()),
)
