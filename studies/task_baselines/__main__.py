"""The command: the lines of one task, as far as runs and minutes go, and its table."""

import studies.task_baselines
from studies.runner import follow, options
from studies.task_baselines.tables import TABLES, as_markdown, so_far, study


def main() -> None:
    parser = options(description=studies.task_baselines.__doc__.splitlines()[0])
    parser.add_argument("task", choices=TABLES)
    chosen = parser.parse_args()
    asked = study(chosen.task)
    follow(asked, chosen)
    print(as_markdown(chosen.task, so_far(asked)))


if __name__ == "__main__":
    main()
