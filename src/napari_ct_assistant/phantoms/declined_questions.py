"""Questions that must be declined: neither a chest CT nor a phantom's labels answer them."""

from __future__ import annotations

import zlib
from functools import cache
from typing import Literal

# Phrasings, and the things that each is asked about.
_ASK: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("What is the {}?", "Tell me the {}.", "Can you see the {} here?", "Do you know the {}?"), (
        "patient's name", "patient's age", "patient's sex", "patient's date of birth",
        "patient's weight", "patient's height", "patient's blood pressure", "heart rate",
        "ejection fraction", "blood type", "oxygen saturation", "body temperature",
        "smoking history", "occupation of the patient", "dose of radiation of this scan",
        "name of the hospital", "name of the radiologist", "date of this examination",
        "scanner's manufacturer", "patient's phone number", "patient's address",
        "creatinine level", "white blood cell count", "hemoglobin level", "Gleason score",
        "TNM stage", "patient's diagnosis in the referral", "five-year survival",
        "patient's favourite food", "capital of France", "weather today", "lung function",
        "pulmonary artery pressure", "bone mineral density in g/cm3", "calcium score",
        "patient's religion", "patient's mother tongue", "patient's job", "next appointment",
        "cause of death", "glucose level", "sodium level", "troponin level", "D-dimer level",
        "cholesterol level", "oxygen flow", "respiratory rate", "pain score", "travel history",
        "name of the referring doctor", "price of this scan", "tube voltage of this scan",
        "amount of contrast agent given", "result of the biopsy", "eye colour",
        "patient's insurance number", "PSA level", "tumour grade",
    )),
    (("Is there {}?", "Do you see {}?", "Does this image show signs of {}?"), (
        "a brain hemorrhage", "a brain tumour", "a stroke", "a kidney stone", "a gallstone",
        "appendicitis", "a pregnancy", "a prostate tumour", "an ovarian cyst", "a hip fracture",
        "a meniscal tear", "glaucoma", "a slipped disc in the lumbar spine", "a bladder tumour",
        "a liver metastasis", "a thyroid nodule", "a pancreatic tumour", "an adrenal adenoma",
        "colon cancer", "a knee effusion", "a cavity in a tooth", "sinusitis",
        "an abdominal aortic aneurysm", "deep vein thrombosis in the leg", "pulmonary embolism",
        "an EGFR mutation", "an ALK rearrangement", "a PD-L1 expression over 50 percent",
        "coeliac disease", "a wrist fracture", "a rotator cuff tear", "diabetes", "hepatitis",
        "a urinary tract infection", "cirrhosis", "hydronephrosis", "an aneurysm in the brain",
        "a herniated disc in the neck", "a spleen rupture", "a bowel obstruction",
        "an inguinal hernia", "a uterine fibroid", "an Achilles tendon tear", "a cataract",
        "multiple sclerosis", "epilepsy", "osteoarthritis of the knee", "gout", "anaemia",
        "leukaemia", "a skull fracture", "an ankle fracture", "a middle ear infection",
        "a testicular tumour", "Crohn's disease", "pancreatitis", "a renal cyst",
    )),
    (("Has the {} changed since the previous scan?", "Is the {} larger than last year?"), (
        "nodule", "effusion", "consolidation", "heart size", "emphysema", "lymph node",
        "opacity", "aorta", "atelectasis", "scar",
    )),
    (("How old is the {}?", "Since when has there been this {}?"), (
        "fracture", "patient", "infarct", "scar", "surgery", "nodule", "pacemaker", "infection",
    )),
    (("Which {} does the patient take?", "Does the patient take {}?"), (
        "drugs", "antibiotic", "blood thinner", "chemotherapy", "painkillers", "inhaler",
    )),
    (("Does the patient have {}?", "Since when has the patient had {}?"), (
        "a cough", "fever", "chest pain", "allergies", "a family history of cancer",
        "high blood pressure", "a positive COVID-19 test", "HIV", "asthma symptoms at night",
        "a history of surgery", "pain in the knee", "headaches", "weight loss",
        "night sweats", "a sore throat",
        "a heart murmur", "dizziness", "a rash", "back pain", "insomnia", "nausea",
    )),
    (("Which {} caused this?", "Was this caused by a {}?"), (
        "bacterium", "virus", "gene", "drug", "fungus", "accident",
    )),
    (("Will the patient {}?", "How likely will the patient {}?"), (
        "survive the next year", "need surgery next month", "respond to chemotherapy",
        "recover", "need dialysis", "develop cancer",
    )),
    (("Describe the {}.", "Is the {} normal?", "Are there any findings in the {}?"), (
        "brain", "kidneys", "prostate", "uterus", "knee joint", "bladder", "lumbar spine",
        "hip joints", "eyes", "teeth", "colon", "pancreas", "ovaries", "wrist", "pelvis",
        "appendix", "skull", "left foot", "right hand",
        "shoulder tendons", "small bowel", "rectum", "nasal cavity", "inner ear", "pituitary gland",
    )),
    (("{}",), (
        "Who is the patient?", "Who wrote the report?", "When was this scan made?",
        "Where does the patient live?", "Is the patient married?",
        "Is the tumour malignant on biopsy?",
        "What did the biopsy show?", "What treatment do you recommend?", "Should I take aspirin?",
        "How many cigarettes does the patient smoke?", "Compare this with the scan of last year.",
        "Is this the same patient as yesterday?", "What is two plus two?", "Tell me a joke.",
        "Which scanner was used?", "Was the operation a success?", "Can the patient fly home?",
        "What does the ECG show?", "What does the MRI of the head show?", "Write a poem.",
        "Who won the football match?", "Is the patient vaccinated?", "Which language is this?",
        "What is the genetic subtype?", "Is the patient allergic to penicillin?",
        "What was the reason for the referral?", "How much will the treatment cost?",
    )),
)  # fmt: skip


@cache
def questions_to_decline(split: Literal["train", "test", "all"] = "all") -> tuple[str, ...]:
    """Return the questions whose right answer is `DECLINED`.

    A hash of the thing asked about decides the split, so that nothing in "test" was trained on
    in another phrasing.
    """
    every = [(what, way.format(what)) for ways, things in _ASK for what in things for way in ways]
    if split == "all":
        return tuple(question for _, question in every)
    kept = split == "test"
    return tuple(q for what, q in every if (zlib.crc32(what.encode()) % 3 == 0) == kept)
