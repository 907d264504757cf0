"""What is known of datasets: `DatasetInfo`, and what a card says of each configuration."""

from enfold.data.info.configurations import DatasetInfosDict, MetadataConfigs
from enfold.data.info.dataset import DatasetInfo, PostProcessedInfo, SupervisedKeysData
from enfold.data.info.fields import InfoFields

__all__ = ["DatasetInfo", "DatasetInfosDict", "InfoFields", "MetadataConfigs",
           "PostProcessedInfo", "SupervisedKeysData"]
