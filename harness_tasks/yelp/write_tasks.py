"""Writes the 45 task files from the table of templates: ``python -m groupgap.harness_tasks.yelp.write_tasks``.

lm-eval finds tasks as files, so the files are kept beside the table; a test holds them equal to what this writes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from .templates import TEMPLATES, Template

FOLDER = Path(__file__).parent
_FILE = """\
# made by python -m groupgap.harness_tasks.yelp.write_tasks
include: _gender_guess_yaml
task: {task}
tag: [gender_guess, gender_guess_{family}]
doc_to_text: {prompt}
doc_to_choice: {choices}
metadata:
  version: 1.0
  fair:
    template: {name}
    cluster: review
    axes: {{gender: {{field: gender, groups: [male, female]}}}}
    positive: {positive}
    prompt: gender-guess-{name}/1
    source:
      name: Yelp reviews of Multi-Dimensional Gender Bias Classification
      hub: facebook/md_gender_bias
      url: https://huggingface.co/datasets/facebook/md_gender_bias
      licence: MIT (the texts follow Yelp's dataset terms)
      citation: "Dinan, Fan, Wu, Weston, Kiela, Williams: Multi-Dimensional Gender Bias Classification. EMNLP 2020."
"""


def task_file(template: Template) -> str:
    """The text of a task's YAML file."""
    positive = template.choices[template.meanings.index("yes" if template.family == "yn" else "male")]
    return _FILE.format(
        task=template.task,
        family=template.family,
        prompt=json.dumps(template.text("{{text}}", "{{asked}}"), ensure_ascii=False),
        choices=json.dumps(template.choices, ensure_ascii=False),
        name=template.name,
        positive=json.dumps(positive, ensure_ascii=False),
    )


def main() -> int:
    """Write every file; files of prompts that are no more are removed."""
    wanted = {FOLDER / f"{template.task}.yaml": task_file(template) for template in TEMPLATES.values()}
    for path in set(FOLDER.glob("gender_guess_*.yaml")) - set(wanted):
        path.unlink()
    for path, text in wanted.items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
