"""What the processes show that are not the main one: nothing."""

from rlenvs.agents.reporting import SilentView, TrainingView, make_view


def view_of(rank: int, plain: bool = False) -> TrainingView:
    """Return the view of a process: the usual one for the main process."""
    return make_view(plain=True if plain else None) if rank == 0 else SilentView()
