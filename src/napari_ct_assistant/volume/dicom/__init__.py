"""DICOM: headers, frames, pixels, series and stacks."""
