"""The public names and their modules; each is loaded at first use."""

from . import (
    backbones as backbones,
    checks as checks,
    continual as continual,
    datasets as datasets,
    errors as errors,
    experiments as experiments,
    heads as heads,
    strategies as strategies,
)
from ._scripts import run_script as run_script
from ._specs import format_spec as format_spec
from ._workspace import Workspace as Workspace
from .active import (
    ActiveLoop as ActiveLoop,
    Group as Group,
    LoopOptions as LoopOptions,
    Oracle as Oracle,
    OracleOptions as OracleOptions,
    Prediction as Prediction,
    Problem as Problem,
    RoundRecord as RoundRecord,
    SearchResult as SearchResult,
    SimulatedOracle as SimulatedOracle,
    area_under_budget_curve as area_under_budget_curve,
    groups as groups,
    predict as predict,
    search as search,
    select as select,
    text_vectors as text_vectors,
    train as train,
    zero_shot_prior as zero_shot_prior,
)
from .backbones import (
    Backbone as Backbone,
    ToyBackbone as ToyBackbone,
    get_backbone as get_backbone,
)
from .cache import (
    Spec as Spec,
    collect_garbage as collect_garbage,
    list_specs as list_specs,
    verify as verify,
)
from .continual import (
    ContinualLoop as ContinualLoop,
    ContinualOptions as ContinualOptions,
    ExperienceRecord as ExperienceRecord,
    Method as Method,
    Policy as Policy,
    Stream as Stream,
    continual_metrics as continual_metrics,
    get_method as get_method,
    get_policy as get_policy,
)
from .datasets import (
    Dataset as Dataset,
    Item as Item,
    corrupted as corrupted,
    load_clear_features as load_clear_features,
    load_dataset as load_dataset,
)
from .embedding import (
    Embeddings as Embeddings,
    EmbedOptions as EmbedOptions,
    EmbedReport as EmbedReport,
    StageProfile as StageProfile,
    embed as embed,
    import_vectors as import_vectors,
    write_vectors as write_vectors,
)
from .experiments import (
    Cell as Cell,
    Experiment as Experiment,
    ReplayResults as ReplayResults,
    ReplayStudy as ReplayStudy,
    Results as Results,
)
from .heads import (
    AutoHead as AutoHead,
    FeCAMHead as FeCAMHead,
    Head as Head,
    KNNHead as KNNHead,
    LabelPropagationHead as LabelPropagationHead,
    LogisticHead as LogisticHead,
    MLPHead as MLPHead,
    NearestMeanHead as NearestMeanHead,
    RandomProjectionRidgeHead as RandomProjectionRidgeHead,
    RidgeHead as RidgeHead,
    SGDHead as SGDHead,
    SLDAHead as SLDAHead,
    UnlabelledRows as UnlabelledRows,
    ZeroShotPrior as ZeroShotPrior,
    get_head as get_head,
    load_head as load_head,
    save_head as save_head,
)
from .index import Index as Index, ShardedMatrix as ShardedMatrix
from .labelling import LabellingSession as LabellingSession
from .labels import LabelLog as LabelLog, read_labels as read_labels, write_labels as write_labels
from .models import (
    Export as Export,
    ImagePredictions as ImagePredictions,
    Model as Model,
    export_model as export_model,
    load_model as load_model,
)
from .reports import (
    ReportData as ReportData,
    comparison_of as comparison_of,
    data_report_of as data_report_of,
    plot_active_learning_results as plot_active_learning_results,
    plot_active_learning_results_many as plot_active_learning_results_many,
    plot_comparison as plot_comparison,
    plot_replay as plot_replay,
    replay_of as replay_of,
    report_of as report_of,
    show_images as show_images,
    write_comparison as write_comparison,
    write_data_report as write_data_report,
    write_figure as write_figure,
    write_replay as write_replay,
    write_replay_figure as write_replay_figure,
    write_report as write_report,
)
from .strategies import (
    DiverseStrategy as DiverseStrategy,
    UniquePicks as UniquePicks,
    Pool as Pool,
    Selection as Selection,
    Strategy as Strategy,
    get_strategy as get_strategy,
)
from .tracking import Tracker as Tracker, get_tracker as get_tracker, trackers as trackers

__version__: str
