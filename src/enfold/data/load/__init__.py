"""Loading: what `load_dataset` finds by a name, prepares in the cache and reads."""

from enfold.data.load.dataset import load_dataset, load_dataset_builder
from enfold.data.load.errors import DatasetNotFoundError
from enfold.data.load.factories import (
    CachedDatasetModuleFactory,
    HubBucketDatasetModuleFactory,
    HubDatasetModuleFactory,
    HubDatasetModuleFactoryWithParquetExport,
    LocalDatasetModuleFactory,
    PackagedDatasetModuleFactory,
    dataset_module_factory,
)
from enfold.data.load.inspect import (
    SplitsNotFoundError,
    get_dataset_config_info,
    get_dataset_config_names,
    get_dataset_default_config_name,
    get_dataset_infos,
    get_dataset_split_names,
)
from enfold.data.load.modules import (
    BuilderConfigsParameters,
    DatasetModule,
    configure_builder_class,
    create_builder_configs_from_metadata_configs,
    get_dataset_builder_class,
)
from enfold.data.packaged import (
    import_main_class,
    infer_module_for_data_files,
    infer_module_for_data_files_list,
    infer_module_for_data_files_list_in_archives,
)
from enfold.data.saving import load_from_disk

__all__ = ["BuilderConfigsParameters", "CachedDatasetModuleFactory", "DatasetModule",
           "DatasetNotFoundError", "HubBucketDatasetModuleFactory", "HubDatasetModuleFactory",
           "HubDatasetModuleFactoryWithParquetExport", "LocalDatasetModuleFactory",
           "PackagedDatasetModuleFactory", "SplitsNotFoundError", "configure_builder_class",
           "create_builder_configs_from_metadata_configs", "dataset_module_factory",
           "get_dataset_builder_class", "get_dataset_config_info", "get_dataset_config_names",
           "get_dataset_default_config_name", "get_dataset_infos", "get_dataset_split_names",
           "import_main_class", "infer_module_for_data_files", "infer_module_for_data_files_list",
           "infer_module_for_data_files_list_in_archives", "load_dataset", "load_dataset_builder",
           "load_from_disk"]
