"""What is known of datasets: `DatasetInfo`, and what a card says of each configuration."""

from enfold.data.info.configurations import DatasetInfosDict, MetadataConfigs
from enfold.data.info.dataset import DatasetInfo, PostProcessedInfo, SupervisedKeysData

__all__ = ["DatasetInfo", "DatasetInfosDict", "MetadataConfigs", "PostProcessedInfo",
           "SupervisedKeysData"]
