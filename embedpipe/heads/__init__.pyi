"""The public names and their modules; a name is imported when it is first used."""

from ._held_out import HeldOutPredictions as HeldOutPredictions
from ._held_out import cross_validated_probabilities as cross_validated_probabilities
from ._held_out import expected_calibration_error as expected_calibration_error
from .fecam import FeCAMHead as FeCAMHead
from .files import load_head as load_head
from .files import save_head as save_head
from .foreign import ForeignHead as ForeignHead
from .knn import KNNHead as KNNHead
from .label_propagation import LabelPropagationHead as LabelPropagationHead
from .logistic import LogisticHead as LogisticHead
from .mlp import MLPHead as MLPHead
from .nearest_mean import NearestMeanHead as NearestMeanHead
from .random_projection_ridge import RandomProjectionRidgeHead as RandomProjectionRidgeHead
from .registry import Head as Head
from .registry import HeadRegistry as HeadRegistry
from .registry import get_head as get_head
from .registry import heads as heads
from .ridge import RidgeHead as RidgeHead
from .simple import SimpleHead as SimpleHead
from .slda import SLDAHead as SLDAHead
