"""What transformers makes of each chat template here and each chat of `chats.json`: `rendered.json`.

    python render.py [FOLDER]

What a template raises is {"raised": MESSAGE}; what it can't render for another reason is left out.
"""

import json
import pathlib
import sys
from datetime import datetime
from importlib.metadata import version

import jinja2
import transformers.utils.chat_template_utils as utils

HERE = pathlib.Path(__file__).parent


def render(template, chat):
    rest = {name: value for name, value in chat.items() if name not in ("messages", "tools", "add_generation_prompt")}
    try:
        texts, _ = utils.render_jinja_template(
            conversations=[chat["messages"]],
            tools=chat.get("tools"),
            chat_template=template,
            add_generation_prompt=chat.get("add_generation_prompt", False),
            **rest,
        )
    except (jinja2.TemplateError, TypeError) as error:
        print(f"  {type(error).__name__}: {error}")
        return {"raised": str(error)} if type(error) is jinja2.TemplateError else None
    return texts[0]


def main(folder):
    chats = json.loads((HERE / "chats.json").read_text())
    rendered = {"made_by": f"transformers {version('transformers')}, jinja2 {version('jinja2')}"}
    for path in sorted(folder.glob("*.jinja")):
        print(path.stem)
        template = path.read_text()
        if "strftime_now" in template:
            print(f"  tells the date: {datetime.now():%d %b %Y}")
        texts = ((name, render(template, chat)) for name, chat in chats.items())
        rendered[path.stem] = {name: text for name, text in texts if text is not None}
    (folder / "rendered.json").write_text(json.dumps(rendered, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
