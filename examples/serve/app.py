"""Recommendations over HTTP.

    FUNKC_MODELS=models uvicorn app:app --workers 2

README.md says how to make the folder of models, and to deploy a new one.
"""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import versions
from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, StrictInt

import funkc

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MODELS = Path(os.environ.get("FUNKC_MODELS", "models"))
SECONDS = 1.0  # between two looks at the version to serve
log = logging.getLogger("uvicorn.error")

# ---------------------------------------------------------------- the version that is served


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Load the model before the first request, and follow new versions until the end."""
    app.state.version = versions.load(MODELS, versions.chosen(MODELS))
    app.state.refused = None
    following = asyncio.create_task(follow(app))
    yield
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following


async def follow(app: FastAPI) -> None:
    """Load new versions while the old one answers, then replace one reference."""
    tried = app.state.version.name
    while True:
        await asyncio.sleep(SECONDS)
        try:
            name = versions.chosen(MODELS)
            if name == tried:
                continue
            tried = name
            app.state.version = await asyncio.to_thread(versions.load, MODELS, name)
            app.state.refused = None
            log.info("now serving %s", name)
        except Exception as error:  # whatever is wrong with the new one, the old one serves
            app.state.refused = f"{tried}: {error}"
            log.exception("can't load %s, still serving %s", tried, app.state.version.name)


# Every function of a request is `async`, also this one: FastAPI calls others in a thread, which
# costs 0.2 ms, half of what `top` takes.
async def version_of_request(request: Request) -> versions.Version:
    """Read once in a request, so that all of its answer is from one version."""
    version: versions.Version = request.app.state.version
    return version


Current = Annotated[versions.Version, Depends(version_of_request)]
app = FastAPI(title="Recommendations", lifespan=lifespan)

# ---------------------------------------------------------------- what is asked, and answered

Id = Annotated[str, Field(pattern=r"^[^\x00]+$")]
Count = Annotated[int, Field(ge=1, le=1000)]


class Asked(BaseModel):
    """Misspelled names are refused."""

    model_config = ConfigDict(extra="forbid")


class ForUser(Asked):
    user: Id
    n: Count = 10
    only: list[Id] | None = None


class LikeItem(Asked):
    item: Id
    n: Count = 10


class Why(Asked):
    user: Id
    item: Id
    n: Count = 5


class Rating(Asked):
    item: StrictInt | Id
    value: FiniteFloat


class NewUser(Asked):
    ratings: Annotated[list[Rating], Field(min_length=1, max_length=1000)]
    n: Count = 10
    only: list[StrictInt | Id] | None = None


class Item(BaseModel):
    item: int | str
    score: float


class Items(BaseModel):
    version: str
    items: list[Item]  # best first; fewer than n, if there are no more


class Reason(BaseModel):
    item: int | str
    contribution: float


class Explanation(BaseModel):
    version: str
    score: float
    baseline: float  # what the model predicts without the ratings of this user
    reasons: list[Reason]


class Health(BaseModel):
    version: str
    digest: str
    process: int
    refused: str | None  # a version that could not be loaded, and why


def items(version: versions.Version, found: Any, scores: Any) -> Items:
    """An answer of funkc, without the padding of -infinity where there are fewer than n."""
    pairs = zip(found.tolist(), scores.tolist(), strict=True)
    listed = [Item(item=item, score=score) for item, score in pairs if score > float("-inf")]
    return Items(version=version.name, items=listed)


# ---------------------------------------------------------------- requests


@app.get("/recommend")
async def recommend(version: Current, asked: Annotated[ForUser, Query()]) -> Items:
    """The best items of a user, without those that the user has rated."""
    found = version.fit.top(asked.user, asked.n, exclude=version.ratings, only=asked.only)
    return items(version, *found)


@app.get("/similar")
async def similar(version: Current, asked: Annotated[LikeItem, Query()]) -> Items:
    """The items most similar to one."""
    return items(version, *version.fit.similar_cols(asked.item, asked.n))


@app.get("/explain")
async def explain(version: Current, asked: Annotated[Why, Query()]) -> Explanation:
    """Which of their own ratings make the model predict this of a user."""
    try:
        why = version.fit.explain(asked.user, asked.item, asked.n, seen=version.ratings)
    except funkc.UnknownIdError:
        raise
    except ValueError as error:
        raise HTTPException(422, f"user {asked.user} has no ratings to explain it by") from error
    pairs = zip(why.columns.tolist(), why.contributions.tolist(), strict=True)
    reasons = [Reason(item=item, contribution=part) for item, part in pairs]
    return Explanation(
        version=version.name, score=why.score, baseline=why.baseline, reasons=reasons
    )


@app.post("/rate")
async def rate(version: Current, asked: NewUser) -> Items:
    """The best items of a new user, by the ratings in the request, which are not stored."""
    rated, values = [one.item for one in asked.ratings], [one.value for one in asked.ratings]
    low, high = version.scale
    if not low <= min(values) <= max(values) <= high:
        raise HTTPException(422, f"ratings: a value is not from {low:g} to {high:g}")
    if len(set(map(str, rated))) < len(rated):
        raise HTTPException(422, "ratings: an item is listed more than once")
    user = version.fit.fold_in_rows(([0] * len(rated), rated), values)
    found, scores = version.fit.top(user, asked.n, exclude=rated, only=asked.only)
    return items(version, found[0], scores[0])


@app.get("/health")
async def health(request: Request, version: Current) -> Health:
    """What this process serves."""
    return Health(
        version=version.name,
        digest=version.digest,
        process=os.getpid(),
        refused=request.app.state.refused,
    )


# ---------------------------------------------------------------- errors, in words


@app.exception_handler(funkc.UnknownIdError)
async def unknown(_: Request, error: funkc.UnknownIdError) -> JSONResponse:
    """404 for ids that are not in the model."""
    what = "user" if error.axis == "rows" else "item"
    listed = ", ".join(map(str, error.unknown))
    return JSONResponse({"detail": f"unknown {what}: {listed}"}, 404)


@app.exception_handler(RequestValidationError)
async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
    """422 with what is wrong, and where; input is not repeated, as JSON can't hold all of it."""
    faults = (f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
    return JSONResponse({"detail": "; ".join(faults)}, 422)
