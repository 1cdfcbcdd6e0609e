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
    Phrase("Status post removal of the port catheter.", (), (MATERIAL,), yes=False),
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
    # As dictated, longer.
    Phrase("Heart contour, size is normal."),
    Phrase("Thoracic aorta diameter is normal."),
    Phrase("Pericardial effusion-thickening was not observed.", (), (PERICARDIAL,), yes=False),
    Phrase("Calibration of thoracic main vascular structures is natural."),
    Phrase(
        "Thoracic esophageal calibration was normal and no significant pathological "
        "wall thickening was detected.",
        yes=False
    ),
    Phrase(
        "No enlarged lymph nodes in prevascular, pre-paratracheal, subcarinal or "
        "bilateral hilar-axillary pathological dimensions were detected.",
        (), (NODES,), yes=False
    ),
    Phrase(
        "When examined in the lung parenchyma window; linear atelectasis is present in "
        "both lungs.",
        (ATELECTASIS,), yes=True
    ),
    Phrase(
        "Aeration of both lung parenchyma is normal and no nodular or infiltrative "
        "lesion is detected in the lung parenchyma.",
        (), (OPACITY,), yes=False
    ),
    Phrase("Pleural effusion or thickening was not detected.", (), (PLEURAL,), yes=False),
    Phrase(
        "There are millimetric nodules in both lungs, some of which are calcified.",
        (NODULE,), yes=True
    ),
    Phrase(
        "Mild bronchiectatic changes and peribronchial thickening are observed in both "
        "lungs.",
        (BRONCHIECTASIS, BRONCHIAL), yes=True
    ),
    Phrase(
        "Wall calcifications are observed in the aorta and coronary arteries.",
        (ARTERIAL, CORONARY), yes=True
    ),
    Phrase(
        "Atherosclerotic wall calcifications were observed in the coronary arteries and"
        " thoracic aorta.",
        (ARTERIAL, CORONARY), yes=True
    ),
    Phrase(
        "Sliding type hiatal hernia was observed at the lower end of the esophagus.",
        (HERNIA,), yes=True
    ),
    Phrase(
        "Port chamber on the anterior chest wall on the right and catheter extending "
        "into the superior vena cava are seen.",
        (MATERIAL,), yes=True
    ),
    Phrase(
        "Emphysematous changes were observed in the upper lobes of both lungs, more "
        "prominently on the right.",
        (EMPHYSEMA,), yes=True
    ),
    Phrase(
        "Crazy paving pattern with ground glass areas and interlobular septal "
        "thickenings.",
        (OPACITY, SEPTAL)
    ),
    Phrase("No pneumothorax, pneumonia or pulmonary edema.", yes=False),
    Phrase("The cardiomediastinal silhouette is within normal limits."),
    Phrase("Stable cardiomegaly.", (HEART,)),
    Phrase("Status post CABG with median sternotomy wires intact.", (MATERIAL,)),
    Phrase("Interval removal of the endotracheal tube.", (), (MATERIAL,), yes=False),
    Phrase(
        "Trace bilateral pleural effusions, right greater than left, with adjacent "
        "atelectasis.",
        (PLEURAL, ATELECTASIS)
    ),
    Phrase(
        "Bibasilar atelectasis; superimposed consolidation cannot be excluded.",
        (ATELECTASIS,), open=(CONSOLIDATION,)
    ),
    Phrase(
        "Stable 4 mm left lower lobe pulmonary nodule (series 4, image 112), unchanged "
        "since 2019.",
        (NODULE,)
    ),
    Phrase("No new or enlarging pulmonary nodules.", open=(NODULE,)),
    Phrase("Scattered ground-glass nodules, likely infectious or inflammatory.", (OPACITY, NODULE)),
    Phrase(
        "Mild centrilobular emphysema without superimposed consolidation or effusion.",
        (EMPHYSEMA,), (CONSOLIDATION,)
    ),
    Phrase("No suspicious osseous lesions.", yes=False),
    Phrase("Borderline enlarged subcarinal node measuring 11 mm.", (NODES,)),
    Phrase("No mediastinal, hilar, or axillary adenopathy.", (), (NODES,), yes=False),
    Phrase("Small hiatal hernia is again noted.", (HERNIA,), yes=True),
    Phrase("Moderate coronary artery calcification.", (CORONARY,)),
    Phrase("Scattered calcified plaque in the thoracic aorta.", (ARTERIAL,)),
    Phrase("The main pulmonary artery is enlarged.", yes=True),
    Phrase("Right-sided chest tube in place; no residual pneumothorax.", (MATERIAL,)),
    Phrase("Biapical scarring.", (FIBROTIC,)),
    Phrase("Mosaic attenuation may reflect small airways disease.", (MOSAIC,)),
    Phrase("Diffuse bronchial wall thickening with mucus plugging.", (BRONCHIAL,)),
    Phrase("Smooth interlobular septal thickening and small effusions suggest edema.", (SEPTAL,)),
    Phrase("Findings concerning for lymphadenopathy.", open=(NODES,)),
    Phrase(
        "There is no focal airspace consolidation, pleural effusion, or pneumothorax.",
        (), (CONSOLIDATION, PLEURAL), yes=False
    ),
    Phrase(
        "Lungs are well expanded and clear, no consolidation, no effusion.",
        (), (CONSOLIDATION,), yes=False
    ),
    Phrase("Nodular thickening of the left adrenal gland."),
    Phrase("Hypodense nodule in the left lobe of the thyroid gland."),
    Phrase("Multiple hypodense hepatic lesions, largest in segment 6."),
    Phrase(
        "Subpleural reticulation and honeycombing with traction bronchiectasis, in "
        "keeping with fibrosis.",
        (BRONCHIECTASIS, FIBROTIC)
    ),
    Phrase(
        "Previously seen right lower lobe consolidation has resolved.",
        (), (CONSOLIDATION,), yes=False
    ),
    Phrase("Decrease in the size of the right pleural effusion.", (PLEURAL,)),
    Phrase("No significant interval change in bilateral pulmonary nodules.", (NODULE,)),
    Phrase(
        "Effusion is absent on both sides, but the pericardium shows a small effusion.",
        yes=False
    ),
    Phrase(
        "Neither consolidation nor ground-glass opacity.",
        (), (CONSOLIDATION, OPACITY), yes=False
    ),
    Phrase("Absent pleural effusion.", (), (PLEURAL,), yes=False),
    Phrase(
        "The previously noted lung nodules are not visualized on the current study.",
        (), (NODULE,), yes=False
    ),
    Phrase(
        "No definite evidence of bronchiectasis, although motion limits evaluation.",
        (), (BRONCHIECTASIS,), yes=False
    ),
    Phrase(
        "Peripheral wedge-shaped opacity, probable atelectasis.",
        (OPACITY,), open=(ATELECTASIS,)
    ),
    Phrase("Findings consistent with multifocal consolidation.", (CONSOLIDATION,)),
    Phrase("Question of a small left lower lobe nodule.", open=(NODULE,)),
    Phrase("Cardiac size is at the upper limit of normal."),
    Phrase("Heart is slightly larger than normal.", (HEART,)),
    Phrase("No lymphadenopathy by CT size criteria.", (), (NODES,), yes=False),
    Phrase(
        "Dual-lead pacemaker with leads terminating in the right atrium and right "
        "ventricle.",
        (MATERIAL,)
    ),
    Phrase(
        "Pulmonary parenchyma: no nodules or masses. Pleura: no effusion. Mediastinum: "
        "mild lymphadenopathy.",
        (NODES,), (NODULE,), yes=False
    ),
    Phrase(
        "Linear subsegmental atelectasis in the lingula and fibrotic recessions are "
        "seen.",
        (ATELECTASIS, FIBROTIC), yes=True
    ),
    Phrase("Tree-in-bud nodules in the right middle lobe, suggestive of infection.", (NODULE,)),
    Phrase(
        "A metallic stent is seen in the left anterior descending artery.",
        (MATERIAL,), yes=True
    ),
    Phrase("Both hemithoraces show minimal pleural fluid.", (PLEURAL,)),
    Phrase(
        "Without evidence of pericardial effusion; minimal pleural effusion on the "
        "left.",
        (PLEURAL,), (PERICARDIAL,), yes=False
    ),
    Phrase("Fissural nodule is compatible with an intrapulmonary lymph node.", (NODULE,)),
    Phrase("Opacities are not seen.", (), (OPACITY,), yes=False),
    Phrase(
        "There are no pleural effusions and the heart is enlarged.",
        (HEART,), (PLEURAL,), yes=False
    ),
    Phrase("No pleural effusion and mild cardiomegaly.", (HEART,), (PLEURAL,), yes=False),
    Phrase("Right hilar lymph nodes up to 14 mm, pathologically enlarged.", (NODES,)),
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
