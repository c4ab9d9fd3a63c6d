"""The application: routes, errors and limits put together."""

from fastapi import FastAPI

from skerry_cloud.api import (
    commands,
    deltas,
    deployments,
    devices,
    distribution,
    errors,
    models,
    registry,
    telemetry,
    uploads,
)
from skerry_cloud.api.bodies import BodyLimit
from skerry_cloud.api.services import Services


def make_app(services: Services) -> FastAPI:
    """Return the ASGI application over ``services``."""
    app = FastAPI(
        title="Skerry",
        description="Ship machine-learning models to edge devices.",
        # Their pages load scripts from other people's servers.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses={status: dict(told) for status, told in errors.RESPONSES.items()},
    )
    app.state.services = services
    errors.add_handlers(app)
    app.add_middleware(BodyLimit)
    for routes in (
        registry,
        models,
        uploads,
        devices,
        commands,
        deployments,
        telemetry,
        distribution,
        deltas,
    ):
        app.include_router(routes.router)
    return app
