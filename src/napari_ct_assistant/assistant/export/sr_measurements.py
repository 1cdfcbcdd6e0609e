"""The measurement below its sentence in a DICOM SR: values with their lines and outlines.

* A ruler's length is a NUM item inferred from a POLYLINE that is selected from its image
  (TID 300 and 320 of PS3.16).
* A region is a planar group (TID 1410): the outline as Image Region, and its values.
* A label is a volumetric group (TID 1411): an Image Region for each slice, or a Volume Surface
  where its slices are no images of the scan.
* What was not drawn, or lies on no image and in no frame of reference, has values only, each
  with its image if there is one.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Final

from napari_ct_assistant.assistant.export.coordinates import Located, in_space, locate
from napari_ct_assistant.assistant.export.identifiers import Identifiers, ImageReference
from napari_ct_assistant.assistant.export.measured import Quantity, name_of, quantities

if TYPE_CHECKING:
    from highdicom.sr import (
        ContentItem,
        ImageContentItem,
        NumContentItem,
        SourceImageForRegion,
        TrackingIdentifier,
    )
    from highdicom.sr import Measurement as GroupValue

    from napari_ct_assistant.assistant.report.measurement import Measurement
    from napari_ct_assistant.assistant.report.parts import Line

INFERRED_FROM: Final = "INFERRED FROM"


def measured_items(
    line: Line,
    measurement: Measurement,
    image: ImageReference | None,
    identifiers: Identifiers | None,
) -> tuple[list[ContentItem], list[ImageReference]]:
    """Return the items below the sentence of a measurement, and the images that they refer to.

    Parameters
    ----------
    line, measurement
        The sentence, and the measurement that it states.
    image : ImageReference or None
        The image of the measurement's middle.
    identifiers : Identifiers or None
        The images of the scan.
    """
    values = list(quantities(measurement))
    located = locate(measurement, identifiers)
    if identifiers is None or not located:
        return [_number(one, None, image, "") for one in values], [image] if image else []
    space = identifiers.frame_of_reference
    images = [one.image for one in located if one.image is not None]
    if measurement.kind in ("length", "axes"):
        # The first ruler is the long axis, the second the short one.
        numbers = [
            _number(value, ruler, image, space)
            for value, ruler in zip_longest(values, located[: len(values)])
        ]
        return list(numbers), images
    if measurement.kind == "region" and len(located) == 1:
        return [_planar(line, measurement, values, located[0], space)], images
    if len(images) != len(located):
        images = [image] if image else []
        located = in_space(measurement, identifiers)
        if len(located) == 1:
            # A surface has two outlines or more.
            return [_planar(line, measurement, values, located[0], space)], images
    return [_volumetric(line, measurement, values, located, identifiers)], images


def image_item(image: ImageReference) -> ImageContentItem:
    """Return the reference to an image that a sentence or a value is inferred from."""
    from highdicom.sr import ImageContentItem
    from pydicom.sr.codedict import codes

    return ImageContentItem(
        codes.DCM.SourceOfMeasurement,
        image.sop_class,
        image.sop_instance,
        referenced_frame_numbers=image.frame,
        relationship_type=INFERRED_FROM,
    )


def _number(
    value: Quantity, ruler: Located | None, image: ImageReference | None, space: str
) -> NumContentItem:
    from highdicom.sr import (
        ContentSequence,
        CoordinatesForMeasurement,
        CoordinatesForMeasurement3D,
        NumContentItem,
    )
    from pydicom.sr.coding import Code

    item = NumContentItem(
        Code(value.code, "SCT", value.meaning),
        value.value,
        Code(value.unit, "UCUM", value.unit_meaning),
        relationship_type=INFERRED_FROM,
    )
    below: ContentItem | None = None if image is None else image_item(image)
    if ruler is not None and ruler.image is not None:
        below = CoordinatesForMeasurement(ruler.graphic, ruler.points, _region_image(ruler.image))
    elif ruler is not None:
        below = CoordinatesForMeasurement3D(ruler.graphic, ruler.points, space)
    if below is not None:
        item.ContentSequence = ContentSequence([below])
    return item


def _planar(
    line: Line, measurement: Measurement, values: list[Quantity], outline: Located, space: str
) -> ContentItem:
    from highdicom.sr import (
        ImageRegion,
        ImageRegion3D,
        PlanarROIMeasurementsAndQualitativeEvaluations,
    )

    region = (
        ImageRegion3D(outline.graphic, outline.points, space)
        if outline.image is None
        else ImageRegion(outline.graphic, outline.points, _region_image(outline.image))
    )
    return _below_sentence(
        *PlanarROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=_tracking(line, measurement),
            referenced_region=region,
            measurements=_group_values(values),
        )
    )


def _volumetric(
    line: Line,
    measurement: Measurement,
    values: list[Quantity],
    located: list[Located],
    identifiers: Identifiers,
) -> ContentItem:
    from highdicom.sr import (
        ImageRegion,
        SourceSeriesForSegmentation,
        VolumeSurface,
        VolumetricROIMeasurementsAndQualitativeEvaluations,
    )

    regions = [
        ImageRegion(one.graphic, one.points, _region_image(one.image))
        for one in located
        if one.image is not None
    ]
    surface = None
    if not regions:
        surface = VolumeSurface(
            "POLYGON",
            [one.points for one in located],
            identifiers.frame_of_reference,
            source_series=SourceSeriesForSegmentation(identifiers.series),
        )
    return _below_sentence(
        *VolumetricROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=_tracking(line, measurement),
            referenced_regions=regions or None,
            referenced_volume_surface=surface,
            measurements=_group_values(values),
        )
    )


def _group_values(values: list[Quantity]) -> list[GroupValue]:
    from highdicom.sr import Measurement
    from pydicom.sr.coding import Code

    return [
        Measurement(
            name=Code(one.code, "SCT", one.meaning),
            value=one.value,
            unit=Code(one.unit, "UCUM", one.unit_meaning),
        )
        for one in values
    ]


def _tracking(line: Line, measurement: Measurement) -> TrackingIdentifier:
    """Return name and UID of what was measured; the UID is the same in every export."""
    from highdicom.sr import TrackingIdentifier
    from pydicom.uid import generate_uid

    uid = generate_uid(entropy_srcs=["napari-ct-assistant", *measurement.keys])
    return TrackingIdentifier(uid=uid, identifier=name_of(line) or "Measurement")


def _below_sentence(item: ContentItem) -> ContentItem:
    item.RelationshipType = INFERRED_FROM
    return item


def _region_image(image: ImageReference) -> SourceImageForRegion:
    from highdicom.sr import SourceImageForRegion

    frames = None if image.frame is None else [image.frame]
    return SourceImageForRegion(image.sop_class, image.sop_instance, frames)
