"""Judgements for tests."""

from dataclasses import replace
from typing import Any
from uuid import uuid4

from patent_hier.data.feedback import Judgement


def judgement(**values: Any) -> Judgement:
    plain = Judgement(
        request_id=str(uuid4()),
        text="一种激光测距装置",
        text_field="abstract",
        context={},
        verdict="corrected",
        label="G01S17/08",
        level="subgroup",
        predicted="H01",
        probability=0.25,
        model_version="v1",
    )
    return replace(plain, **values)
