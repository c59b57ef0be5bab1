from .base import Metric as Metric
from .base import balanced_accuracy as balanced_accuracy
from .base import contributions as contributions
from .base import fixed_variance_score as fixed_variance_score
from .base import joint_chance as joint_chance
from .base import joint_correct as joint_correct
from .base import mean_cosine as mean_cosine
from .base import reference_variance as reference_variance
from .decoder import CrossSlot as CrossSlot
from .decoder import DecoderStructure as DecoderStructure
from .decoder import active_dimensions as active_dimensions
from .decoder import compositional_contrast as compositional_contrast
from .decoder import cross_slot_mass as cross_slot_mass
from .decoder import decoder_fidelity as decoder_fidelity
from .decoder import decoder_structure as decoder_structure
from .decoder import interaction_contributions as interaction_contributions
from .decoder import raw_contrast as raw_contrast
from .decoder import slot_norms as slot_norms
from .decoder import x_cycle as x_cycle
from .decoder import z_cycle as z_cycle
from .decoder_jacobian import LocalSummary as LocalSummary
from .decoder_jacobian import PixelSums as PixelSums
from .decoder_jacobian import block_ima as block_ima
from .decoder_jacobian import condition_number as condition_number
from .decoder_jacobian import gram as gram
from .decoder_jacobian import ima_chance as ima_chance
from .decoder_jacobian import local_ima as local_ima
from .decoder_jacobian import nmse as nmse
from .decoder_jacobian import pixel_sums as pixel_sums
from .decoder_jacobian import summarise as summarise
from .decoder_jacobian import twin_fidelity as twin_fidelity
from .decoder_report import examine as examine
from .derivatives import along as along
from .derivatives import as_numpy as as_numpy
from .derivatives import derivative_mass as derivative_mass
from .derivatives import directions as directions
from .derivatives import require_derivative as require_derivative
from .derivatives import slot_jacobian as slot_jacobian
from .detection import Detections as Detections
from .detection import ObjectSet as ObjectSet
from .detection import average_precision as average_precision
from .detection import detections as detections
from .detection import merge as merge
from .identifiability import Codes as Codes
from .identifiability import Correlation as Correlation
from .identifiability import Dci as Dci
from .identifiability import MccScore as MccScore
from .identifiability import SlotCodes as SlotCodes
from .identifiability import SlotIdentifiability as SlotIdentifiability
from .identifiability import Standardiser as Standardiser
from .identifiability import correlations as correlations
from .identifiability import dci as dci
from .identifiability import dependence_floors as dependence_floors
from .identifiability import forest_importance as forest_importance
from .identifiability import linear_r2 as linear_r2
from .identifiability import mcc as mcc
from .identifiability import mcc_chance as mcc_chance
from .identifiability import mcc_with_floors as mcc_with_floors
from .identifiability import slot_identifiability as slot_identifiability
from .identifiability import slot_r2 as slot_r2
from .identifiability import standardiser as standardiser
from .masks import adjusted_rand as adjusted_rand
from .masks import contingency as contingency
from .masks import mask_contributions as mask_contributions
from .masks import object_iou as object_iou
from .masks import overlaps as overlaps
from .masks import visible as visible
from .masks import without_hidden as without_hidden
from .matching import Matching as Matching
from .matching import assign as assign
from .matching import match_on_masks as match_on_masks
from .matching import match_on_positions as match_on_positions
from .matching import refuse_scored as refuse_scored
from .matching import take as take
from .metrics_sets import SetScore as SetScore
from .metrics_sets import chance_corrected as chance_corrected
from .metrics_sets import constant_set as constant_set
from .metrics_sets import constant_set_floor as constant_set_floor
from .metrics_sets import set_contributions as set_contributions
from .metrics_sets import set_r2 as set_r2
from .readout import FactorReadout as FactorReadout
from .readout import Readout as Readout
from .readout import Representation as Representation
from .readout import fit_readout as fit_readout
from .readout import match_slots as match_slots

__all__ = [
    "Codes",
    "Correlation",
    "CrossSlot",
    "Dci",
    "DecoderStructure",
    "Detections",
    "FactorReadout",
    "LocalSummary",
    "Matching",
    "MccScore",
    "Metric",
    "ObjectSet",
    "PixelSums",
    "Readout",
    "Representation",
    "SetScore",
    "SlotCodes",
    "SlotIdentifiability",
    "Standardiser",
    "active_dimensions",
    "adjusted_rand",
    "along",
    "as_numpy",
    "assign",
    "average_precision",
    "balanced_accuracy",
    "block_ima",
    "chance_corrected",
    "compositional_contrast",
    "condition_number",
    "constant_set",
    "constant_set_floor",
    "contingency",
    "contributions",
    "correlations",
    "cross_slot_mass",
    "dci",
    "decoder_fidelity",
    "decoder_structure",
    "dependence_floors",
    "derivative_mass",
    "detections",
    "directions",
    "examine",
    "fit_readout",
    "fixed_variance_score",
    "forest_importance",
    "gram",
    "ima_chance",
    "interaction_contributions",
    "joint_chance",
    "joint_correct",
    "linear_r2",
    "local_ima",
    "mask_contributions",
    "match_on_masks",
    "match_on_positions",
    "match_slots",
    "mcc",
    "mcc_chance",
    "mcc_with_floors",
    "mean_cosine",
    "merge",
    "nmse",
    "object_iou",
    "overlaps",
    "pixel_sums",
    "raw_contrast",
    "reference_variance",
    "refuse_scored",
    "require_derivative",
    "set_contributions",
    "set_r2",
    "slot_identifiability",
    "slot_jacobian",
    "slot_norms",
    "slot_r2",
    "standardiser",
    "summarise",
    "take",
    "twin_fidelity",
    "visible",
    "without_hidden",
    "x_cycle",
    "z_cycle",
]
