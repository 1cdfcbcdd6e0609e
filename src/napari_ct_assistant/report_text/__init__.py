"""Reading reports, questions and answers by rules: the one place, for every floor above.

    findings           the 18 findings of CT-RATE
    finding_terms      the lexicon: what reports and readers call them
    finding_mentions   which of them a text mentions, affirms or denies, and on which side
    negation           whether a sentence affirms, denies or suspects what it mentions
    regions            which sentences are about the chest, the abdomen, the pelvis
    sections           cutting a report at its headings
    sentences          cutting a text into sentences
    yes_no             reading an answer as yes or no, or as the letter of a choice
    questions          what a model is asked, word for word, in training and in use

Standard library only. Nothing is imported here: the patterns take a while to compile.
"""
