"""Features: what the columns of a dataset hold, how they are stored, read and cast."""

from enfold.data.features.arrays import Array2D, Array3D, Array4D, Array5D
from enfold.data.features.arraytypes import ArrayType
from enfold.data.features.arrow import arrow_type, feature_of
from enfold.data.features.audio import Audio
from enfold.data.features.build import to_array
from enfold.data.features.cast import cast_array, cast_table, embed_array
from enfold.data.features.dicts import register_feature
from enfold.data.features.documents import BioSequence, BioStructure, Mesh, Nifti, Pdf, Video
from enfold.data.features.errors import CastError, FeatureError
from enfold.data.features.image import Image
from enfold.data.features.jsons import Json
from enfold.data.features.labels import ClassLabel
from enfold.data.features.nested import (
    LargeList,
    List,
    Sequence,
    Translation,
    TranslationVariableLanguages,
)
from enfold.data.features.promote import align, promote
from enfold.data.features.schema import Features
from enfold.data.features.value import Value

__all__ = ["Array2D", "Array3D", "Array4D", "Array5D", "ArrayType", "Audio", "BioSequence",
           "BioStructure", "CastError", "ClassLabel", "FeatureError", "Features", "Image", "Json",
           "LargeList", "List", "Mesh", "Nifti", "Pdf", "Sequence", "Translation",
           "TranslationVariableLanguages", "Value", "Video", "align", "arrow_type", "cast_array",
           "cast_table", "embed_array", "feature_of", "promote", "register_feature", "to_array"]
