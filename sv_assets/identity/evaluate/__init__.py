"""Evaluation: how good identity is on a file of records whose true persons are known. No label is used for training."""

from sv_assets.identity.evaluate.evaluation import Evaluation, Found, evaluate

__all__ = ["Evaluation", "Found", "evaluate"]
