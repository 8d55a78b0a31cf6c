"""The population model of an environment that ends in SDM: its own, or one that is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from regenv.envs.config import Config
from regenv.errors import OptionError

if TYPE_CHECKING:
    from regenv.core.deformation import StatisticalDeformation


def find_population(config: Config) -> StatisticalDeformation:
    """The model of the id's training subjects, or what ``deformation`` says.

    Raises:
        OptionError: If the given model cannot be read, or was fitted on another lattice, spacing or dimension.
    """
    from regenv.core.deformation import StatisticalDeformation
    from regenv.synthesis.population import load_population

    given: Any = config.deformation
    if given is None:
        model = load_population(config.task.recipe, config.field_of_view)
    elif isinstance(given, StatisticalDeformation):
        model = given
    else:
        try:
            model = StatisticalDeformation.load(given)
        except OSError as error:
            raise OptionError(
                f"deformation={given!r} cannot be read ({error.strerror}); give a file of a model"
            ) from error
        except (TypeError, ValueError) as error:
            raise OptionError(f"deformation={given!r} is no model: {error}") from error
    try:
        model.check(config.task.ndim, config.view_size * config.view_spacing_mm)
    except ValueError as error:
        raise OptionError(f"{config.task.id}: {error}") from error
    return model
