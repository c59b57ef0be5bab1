from .base import CATEGORICAL as CATEGORICAL
from .base import CONTINUOUS as CONTINUOUS
from .base import FACTOR_METRICS as FACTOR_METRICS
from .base import JOINT as JOINT
from .base import PERIODIC as PERIODIC
from .base import Metric as Metric
from .base import balanced_accuracy as balanced_accuracy
from .base import fixed_variance_score as fixed_variance_score
from .base import joint_chance as joint_chance
from .base import joint_correct as joint_correct
from .base import reference_variance as reference_variance
from .decoder import compositional_contrast as compositional_contrast
from .decoder import decoder_fidelity as decoder_fidelity
from .decoder import decoder_structure as decoder_structure
from .decoder import x_cycle as x_cycle
from .decoder import z_cycle as z_cycle
from .decoder_jacobian import block_ima as block_ima
from .decoder_jacobian import condition_number as condition_number
from .decoder_jacobian import ima_chance as ima_chance
from .decoder_jacobian import local_ima as local_ima
from .decoder_jacobian import twin_fidelity as twin_fidelity
from .derivatives import derivative_mass as derivative_mass
from .derivatives import slot_jacobian as slot_jacobian
from .detection import Detections as Detections
from .detection import ObjectSet as ObjectSet
from .detection import average_precision as average_precision
from .detection import detections as detections
from .identifiability import Codes as Codes
from .identifiability import Dci as Dci
from .identifiability import MccScore as MccScore
from .identifiability import SlotIdentifiability as SlotIdentifiability
from .identifiability import dci as dci
from .identifiability import linear_r2 as linear_r2
from .identifiability import mcc as mcc
from .identifiability import mcc_with_floors as mcc_with_floors
from .identifiability import slot_identifiability as slot_identifiability
from .identifiability import slot_r2 as slot_r2
from .masks import adjusted_rand as adjusted_rand
from .masks import object_iou as object_iou
from .matching import Matching as Matching
from .matching import match_on_masks as match_on_masks
from .readout import FactorReadout as FactorReadout
from .readout import Readout as Readout
from .readout import fit_readout as fit_readout
from .readout import match_slots as match_slots

__all__ = [
    "CATEGORICAL",
    "CONTINUOUS",
    "FACTOR_METRICS",
    "JOINT",
    "PERIODIC",
    "Codes",
    "Dci",
    "Detections",
    "FactorReadout",
    "Matching",
    "MccScore",
    "Metric",
    "ObjectSet",
    "Readout",
    "SlotIdentifiability",
    "adjusted_rand",
    "average_precision",
    "balanced_accuracy",
    "block_ima",
    "compositional_contrast",
    "condition_number",
    "dci",
    "decoder_fidelity",
    "decoder_structure",
    "derivative_mass",
    "detections",
    "fit_readout",
    "fixed_variance_score",
    "ima_chance",
    "joint_chance",
    "joint_correct",
    "linear_r2",
    "local_ima",
    "match_on_masks",
    "match_slots",
    "mcc",
    "mcc_with_floors",
    "object_iou",
    "reference_variance",
    "slot_identifiability",
    "slot_jacobian",
    "slot_r2",
    "twin_fidelity",
    "x_cycle",
    "z_cycle",
]
