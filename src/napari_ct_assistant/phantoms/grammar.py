"""Write a phantom's report from its truth; `parse_report` reads it back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_ct_assistant.phantoms.truth import FindingTruth, part_rng

# Slots: {grade} is the size class or grade, {where} the side or lobe, {kind} the detail, {many}
# and {number} the count. Every sentence holds one of its finding's `KEYWORDS` and names the
# finding before its place and size: the next word then depends on words just written, which
# even the smallest language model can learn.
POSITIVE: dict[str, tuple[str, ...]] = {
    "Medical material": (
        "There is a {kind}{where}.",
        "A {kind} is seen{where}.",
        "A {kind} is in place{where}.",
    ),
    "Arterial wall calcification": (
        "There are wall calcifications of the aorta, {grade} in degree.",
        "The aorta shows calcified plaques in its wall, {grade} in degree.",
        "Calcification is seen in the wall of the thoracic aorta, {grade}.",
    ),
    "Cardiomegaly": (
        "The heart is enlarged, with {grade} cardiomegaly.",
        "There is cardiomegaly, {grade} in degree.",
        "Heart size is increased, {grade} cardiomegaly.",
    ),
    "Pericardial effusion": (
        "There is a pericardial effusion, {grade} in size.",
        "A pericardial effusion surrounds the heart, {grade} in size.",
        "Pericardial effusion is seen, {grade}.",
    ),
    "Coronary artery wall calcification": (
        "There are coronary artery calcifications, {grade} in degree.",
        "The coronary arteries show calcified plaques, {grade} in degree.",
        "Calcification is seen in the walls of the coronary arteries, {grade}.",
    ),
    "Hiatal hernia": (
        "There is a hiatal hernia, {grade} in size.",
        "A hiatal hernia is seen behind the heart, {grade} in size.",
        "Part of the stomach lies above the diaphragm, a hiatal hernia, {grade}.",
    ),
    "Lymphadenopathy": (
        "There are enlarged {where} lymph nodes, {many} of them, {grade} in size.",
        "Lymphadenopathy is seen in the {where} region, with {many} nodes, {grade} in size.",
        "Enlarged lymph nodes are seen in the {where} region, {number}, {grade}.",
    ),
    "Emphysema": (
        "There is emphysema of both lungs, {grade} in degree.",
        "Both lungs show emphysema, mainly in the upper lobes, {grade} in degree.",
        "Emphysema is seen in both lungs, {grade}.",
    ),
    "Atelectasis": (
        "There is atelectasis in the {where}, {kind} in shape.",
        "Atelectasis is seen in the {where}, {kind}.",
        "Atelectasis of the {where} is seen, {kind} in shape.",
    ),
    "Lung nodule": (
        "There {are} {nodule} in the {where}, {grade} in size, {number}.",
        "{Nodule} {are} seen in the {where}, {grade}, {number}.",
        "{Nodule} {are} found in the {where}, {grade} in size, {number}.",
    ),
    "Lung opacity": (
        "There is a ground-glass opacity in the {where}, {grade} in extent.",
        "Ground-glass opacity is seen in the {where}, {grade}.",
        "An area of ground-glass opacity lies in the {where}, {grade} in extent.",
    ),
    "Pulmonary fibrotic sequela": (
        "There are fibrotic sequela changes in the {where}.",
        "Fibrotic scars are seen in the {where}.",
        "Fibrotic bands, a sequela, are seen in the {where}.",
    ),
    "Pleural effusion": (
        "There is a pleural effusion, {where}, {grade} in size.",
        "A pleural effusion is seen, {where}, {grade} in size.",
        "Pleural effusion is present, {where}, {grade}.",
    ),
    "Mosaic attenuation pattern": (
        "Both lungs show a mosaic attenuation pattern.",
        "There is mosaic attenuation in both lungs.",
        "A mosaic attenuation pattern is seen in both lungs.",
    ),
    "Peribronchial thickening": (
        "There is peribronchial thickening in both lungs, {grade} in degree.",
        "The bronchial walls are thickened in both lungs, {grade} in degree.",
        "Peribronchial thickening is seen in both lungs, {grade}.",
    ),
    "Consolidation": (
        "There is a consolidation in the {where}, {grade} in extent.",
        "Consolidation is seen in the {where}, {grade}.",
        "An area of consolidation lies in the {where}, {grade} in extent.",
    ),
    "Bronchiectasis": (
        "There is bronchiectasis in the {where}.",
        "Bronchiectasis with dilated bronchi is seen in the {where}.",
        "Bronchiectasis is seen in the {where}.",
    ),
    "Interlobular septal thickening": (
        "There is interlobular septal thickening in both lungs.",
        "Interlobular septa are thickened in both lungs.",
        "Interlobular septal thickening is seen in both lungs.",
    ),
}

IMPRESSION: dict[str, tuple[str, ...]] = {
    "Medical material": ("{Kind}{where}.", "{Kind} in place{where}."),
    "Arterial wall calcification": (
        "Aortic wall calcification, {grade}.",
        "Calcification of the aorta, {grade}.",
    ),
    "Cardiomegaly": ("Cardiomegaly, {grade}.", "Enlarged heart, {grade} cardiomegaly."),
    "Pericardial effusion": ("Pericardial effusion, {grade}.",),
    "Coronary artery wall calcification": (
        "Coronary artery calcification, {grade}.",
        "Calcification of the coronary arteries, {grade}.",
    ),
    "Hiatal hernia": ("Hiatal hernia, {grade}.",),
    "Lymphadenopathy": ("Lymphadenopathy, {where}, {grade}.",),
    "Emphysema": ("Emphysema, {grade}.", "Emphysema of both lungs, {grade}."),
    "Atelectasis": ("Atelectasis in the {where}, {kind}.", "Atelectasis of the {where}, {kind}."),
    "Lung nodule": (
        "{Nodule} in the {where}, {grade}, {number}.",
        "{Nodule} of the {where}, {grade}, {number}.",
    ),
    "Lung opacity": (
        "Ground-glass opacity in the {where}, {grade}.",
        "Ground-glass opacity of the {where}, {grade}.",
    ),
    "Pulmonary fibrotic sequela": (
        "Fibrotic sequela in the {where}.",
        "Fibrotic scars in the {where}.",
    ),
    "Pleural effusion": ("Pleural effusion, {where}, {grade}.",),
    "Mosaic attenuation pattern": (
        "Mosaic attenuation pattern.",
        "Mosaic attenuation in both lungs.",
    ),
    "Peribronchial thickening": (
        "Peribronchial thickening, {grade}.",
        "Peribronchial thickening in both lungs, {grade}.",
    ),
    "Consolidation": (
        "Consolidation in the {where}, {grade}.",
        "Consolidation of the {where}, {grade}.",
    ),
    "Bronchiectasis": ("Bronchiectasis in the {where}.", "Bronchiectasis of the {where}."),
    "Interlobular septal thickening": (
        "Interlobular septal thickening.",
        "Interlobular septal thickening in both lungs.",
    ),
}

# Lower-case words that mark a sentence as being about a finding. The first match wins, so that
# "coronary" stands before "aort".
KEYWORDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "Medical material",
        ("pacemaker", "port catheter", "sternal wires", "endotracheal tube", "medical material"),
    ),
    ("Coronary artery wall calcification", ("coronary",)),
    ("Arterial wall calcification", ("aort", "arterial")),
    ("Pericardial effusion", ("pericardial",)),
    ("Cardiomegaly", ("cardiomegaly", "enlarged heart")),
    ("Hiatal hernia", ("hernia",)),
    ("Lymphadenopathy", ("lymph",)),
    ("Emphysema", ("emphysema",)),
    ("Atelectasis", ("atelectasis",)),
    ("Lung nodule", ("nodule",)),
    ("Lung opacity", ("ground-glass", "lung opacity")),
    ("Pulmonary fibrotic sequela", ("fibrotic",)),
    ("Pleural effusion", ("pleural effusion",)),
    ("Mosaic attenuation pattern", ("mosaic",)),
    ("Peribronchial thickening", ("peribronchial", "bronchial walls")),
    ("Consolidation", ("consolidation",)),
    ("Bronchiectasis", ("bronchiectasis",)),
    ("Interlobular septal thickening", ("interlobular",)),
)

# The name of a finding in negative sentences and in lists.
SHORT_NAMES: dict[str, str] = {
    "Medical material": "medical material",
    "Arterial wall calcification": "aortic calcification",
    "Cardiomegaly": "cardiomegaly",
    "Pericardial effusion": "pericardial effusion",
    "Coronary artery wall calcification": "coronary calcification",
    "Hiatal hernia": "hiatal hernia",
    "Lymphadenopathy": "lymphadenopathy",
    "Emphysema": "emphysema",
    "Atelectasis": "atelectasis",
    "Lung nodule": "nodule",
    "Lung opacity": "ground-glass opacity",
    "Pulmonary fibrotic sequela": "fibrotic sequela",
    "Pleural effusion": "pleural effusion",
    "Mosaic attenuation pattern": "mosaic attenuation",
    "Peribronchial thickening": "peribronchial thickening",
    "Consolidation": "consolidation",
    "Bronchiectasis": "bronchiectasis",
    "Interlobular septal thickening": "interlobular septal thickening",
}

# By organ: its findings, and the sentences that say that it is normal.
ORGANS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("Medical material",), ()),
    (
        ("Peribronchial thickening", "Bronchiectasis"),
        (
            "Trachea and both main bronchi are open.",
            "The trachea and main bronchi are clear.",
            "Trachea and main bronchi are of normal width.",
        ),
    ),
    (
        (
            "Cardiomegaly",
            "Pericardial effusion",
            "Coronary artery wall calcification",
            "Arterial wall calcification",
        ),
        (
            "The heart and great vessels are normal.",
            "Heart size and great vessels are normal.",
            "Heart and thoracic vessels have a normal appearance.",
        ),
    ),
    (
        ("Lymphadenopathy", "Hiatal hernia"),
        (
            "The mediastinum is normal.",
            "Mediastinum and hilar regions are normal.",
            "The mediastinal structures are normal.",
        ),
    ),
    (
        (
            "Lung nodule",
            "Consolidation",
            "Lung opacity",
            "Atelectasis",
            "Pulmonary fibrotic sequela",
            "Emphysema",
            "Mosaic attenuation pattern",
            "Interlobular septal thickening",
        ),
        (
            "Both lungs are clear.",
            "Both lungs are normally aerated.",
            "Aeration of both lungs is normal.",
        ),
    ),
    (
        ("Pleural effusion",),
        ("The pleura is normal.", "Both pleural spaces are dry.", "The pleural spaces are free."),
    ),
)

BONES = (
    "The bones and the upper abdomen are unremarkable.",
    "Upper abdominal organs and bones are unremarkable.",
    "No lesion is seen in the bones or the upper abdomen.",
)
NO_LIST = ("No {list} is seen.", "There is no {list}.", "No {list} is present.")
CLEAR = (
    "No significant abnormality.",
    "Normal chest CT.",
    "No abnormality is seen in the chest.",
)
NUMBERS = {1: "one", 2: "two", 3: "three", 4: "four"}


def join(words: Sequence[str], last: str = "or") -> str:
    """Write a list as "a, b or c"."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"


def where_of(t: FindingTruth) -> str:
    """Return the place of a finding in the words that its templates need."""
    if t.name == "Medical material":
        return f" in the {t.side} chest wall" if t.side else ""
    if t.name == "Lymphadenopathy":
        return f"{t.side} {t.detail}" if t.side else str(t.detail)
    if t.lobe:
        return t.lobe
    return {"both": "bilateral", None: ""}.get(t.side, str(t.side))


def fill(template: str, t: FindingTruth) -> str:
    """Fill the slots of a template; a capitalised slot begins the sentence."""
    words = {
        "grade": t.severity or "",
        "where": where_of(t),
        "kind": t.detail or "",
        "many": NUMBERS[t.count],
        "number": "single" if t.count == 1 else f"{NUMBERS[t.count]} in number",
        "nodule": "a nodule" if t.count == 1 else "nodules",
        "are": "is" if t.count == 1 else "are",
    }
    words |= {k.capitalize(): v[:1].upper() + v[1:] for k, v in words.items()}
    text = template.format(**words)
    return (
        text.replace("a sternal wires is", "sternal wires are")
        .replace("A sternal wires is", "Sternal wires are")
        .replace("There is a sternal", "There are sternal")
        .replace("There is a endo", "There is an endo")
        .replace("A endo", "An endo")
    )


def choose(seed: int, part: str, options: Sequence[str]) -> str:
    """Choose one paraphrase, by the random stream of this part of the report."""
    rng: np.random.Generator = part_rng(seed, "words of " + part)
    return options[int(rng.integers(len(options)))]


def write_report(seed: int, findings: Sequence[FindingTruth]) -> str:
    """Write a report: "Findings: ... Impression: ...".

    One finding more changes only the sentences about it and the negatives of its organ.
    """
    text = " ".join(sentence for sentence, _ in _describe(seed, findings))
    return f"Findings: {text} Impression: {_sum_up(seed, findings)}"


def write_excerpt(
    seed: int,
    findings: Sequence[FindingTruth],
    rng: np.random.Generator,
    max_findings: int | None = None,
) -> str:
    """Write a report about some of the findings, with few of the normal and negative sentences.

    A draft looks like this after a reader has rejected sentences; and a short text makes it
    easier to learn which place and which degree belong to which finding.
    """
    share, rest = rng.random(2)
    count = round(share * len(findings))
    if max_findings is not None:
        count = min(1 + int(share * max_findings), len(findings))
    kept = set(rng.permutation(len(findings))[:count].tolist())
    findings = [t for number, t in enumerate(findings) if number in kept]
    text = [s for s, positive in _describe(seed, findings) if positive or rng.random() < rest**3]
    if not text:
        text = [choose(seed, "bones", BONES)]
    return f"Findings: {' '.join(text)} Impression: {_sum_up(seed, findings)}"


def _describe(seed: int, findings: Sequence[FindingTruth]) -> list[tuple[str, bool]]:
    """Write the sentences of the findings; True marks one that reports something present."""
    by_name = {t.name: t for t in findings}
    text: list[tuple[str, bool]] = []
    for names, normal in ORGANS:
        here = [n for n in names if n in by_name]
        if not here and normal:
            text.append((choose(seed, normal[0], normal), False))
        text += [(fill(choose(seed, n, POSITIVE[n]), by_name[n]), True) for n in here]
        absent = [SHORT_NAMES[n] for n in names if n not in by_name]
        if absent:
            denied = choose(seed, "no " + names[0], NO_LIST).format(list=join(absent))
            text.append((denied, False))
    text.append((choose(seed, "bones", BONES), False))
    return text


def _sum_up(seed: int, findings: Sequence[FindingTruth]) -> str:
    """Write the impression, its sentences in the order of the findings."""
    by_name = {t.name: t for t in findings}
    last = [
        fill(choose(seed, "impression " + n, IMPRESSION[n]), by_name[n])
        for names, _ in ORGANS
        for n in names
        if n in by_name
    ]
    return " ".join(last or [choose(seed, "clear", CLEAR)])
