"""Read reports, questions and answers by rules. Every floor above uses these and no others.

    findings           the 18 findings of CT-RATE
    finding_terms      the lexicon: what reports and readers call them
    finding_mentions   which of them a text mentions, affirms or denies, and on which side
    attributes         side, lobe, level, degree, sizes and numbers of a statement
    other_abnormalities  abnormalities beside the 18 findings
    negation           whether a sentence affirms, denies or suspects what it mentions
    regions            which sentences are about the chest, the abdomen and the pelvis
    sections           splitting a report at its headings
    sentences          splitting a text into sentences
    yes_no             reading an answer as yes or no, or as the letter of a choice
    questions          the questions that models are asked, word for word
    patterns           building the regular expressions

Only the standard library is used. Nothing is imported here, because compiling the patterns
takes some 30 ms.
"""
