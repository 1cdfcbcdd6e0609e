"""The DICOM attributes that a CT volume needs, and the sequences that contain them."""

from __future__ import annotations

PIXEL_DATA = 0x7FE00010
FLOAT_PIXEL_DATA = 0x7FE00008
DOUBLE_PIXEL_DATA = 0x7FE00009
SHARED_GROUPS = 0x52009229
FRAME_GROUPS = 0x52009230
DIMENSION_INDEX_VALUES = 0x00209157

POSITION = 0x00200032
ORIENTATION = 0x00200037

WANTED = {
    0x00080005: "SpecificCharacterSet",
    0x00080008: "ImageType",
    0x00080016: "SOPClassUID",
    0x00080018: "SOPInstanceUID",
    0x00080022: "AcquisitionDate",
    0x0008002A: "AcquisitionDateTime",
    0x00080031: "SeriesTime",
    0x00080032: "AcquisitionTime",
    0x00080060: "Modality",
    0x0008103E: "SeriesDescription",
    0x00089007: "FrameType",
    0x00100020: "PatientID",
    0x00180010: "ContrastBolusAgent",
    0x00180015: "BodyPartExamined",
    0x00180050: "SliceThickness",
    0x00180060: "KVP",
    0x00180088: "SpacingBetweenSlices",
    0x00181060: "TriggerTime",
    0x00181210: "ConvolutionKernel",
    0x00189074: "FrameAcquisitionDateTime",
    0x00189344: "ContrastBolusAgentPhase",
    0x00189353: "EnergyWeightingFactor",
    0x0018937C: "MonoenergeticEnergyEquivalent",
    0x0020000D: "StudyInstanceUID",
    0x0020000E: "SeriesInstanceUID",
    0x00200011: "SeriesNumber",
    0x00200012: "AcquisitionNumber",
    0x00200013: "InstanceNumber",
    POSITION: "ImagePositionPatient",
    ORIENTATION: "ImageOrientationPatient",
    0x00200052: "FrameOfReferenceUID",
    0x00200100: "TemporalPositionIdentifier",
    0x00209056: "StackID",
    0x00209128: "TemporalPositionIndex",
    0x00209153: "NominalCardiacTriggerDelayTime",
    0x00209156: "FrameAcquisitionNumber",
    DIMENSION_INDEX_VALUES: "DimensionIndexValues",
    0x00209241: "NominalPercentageOfCardiacPhase",
    0x00209245: "NominalPercentageOfRespiratoryPhase",
    0x0020930D: "TemporalPositionTimeOffset",
    0x00280002: "SamplesPerPixel",
    0x00280008: "NumberOfFrames",
    0x00280010: "Rows",
    0x00280011: "Columns",
    0x00280030: "PixelSpacing",
    0x00280100: "BitsAllocated",
    0x00280101: "BitsStored",
    0x00280103: "PixelRepresentation",
    0x00280120: "PixelPaddingValue",
    0x00280121: "PixelPaddingRangeLimit",
    0x00281052: "RescaleIntercept",
    0x00281053: "RescaleSlope",
    0x00281054: "RescaleType",
    0x7FE00001: "ExtendedOffsetTable",
    0x7FE00002: "ExtendedOffsetTableLengths",
}
"""Attributes that are kept, at any depth of the sequences in ENTERED."""

ENTERED = frozenset(
    {
        SHARED_GROUPS,
        FRAME_GROUPS,
        0x00189118,  # CardiacSynchronizationSequence
        0x00189314,  # CTReconstructionSequence
        0x00189325,  # CTXRayDetailsSequence
        0x00189329,  # CTImageFrameTypeSequence
        0x00189341,  # ContrastBolusUsageSequence
        0x00189360,  # CTAdditionalXRaySourceSequence
        0x00209111,  # FrameContentSequence
        0x00209113,  # PlanePositionSequence
        0x00209116,  # PlaneOrientationSequence
        0x00209253,  # RespiratorySynchronizationSequence
        0x00209310,  # TemporalPositionSequence
        0x00289110,  # PixelMeasuresSequence
        0x00289145,  # PixelValueTransformationSequence
    }
)
"""Sequences that are read: the functional groups of enhanced multi-frame CT."""
