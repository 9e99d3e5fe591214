"""Documentation that is wrong is worse than none: links lead somewhere, code compiles, JSON parses. Standard library only, save the
package itself for the names that Python blocks use.

    check_docs.py [ROOT]
"""

import ast
import json
import pathlib
import re
import subprocess
import sys

LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)


def names_of_package() -> set[str] | None:
    """Public names of the installed package; None where there is none."""
    try:
        import vidloom
    except ImportError:
        return None
    return set(dir(vidloom))


def main() -> int:
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parents[2]
    pages = sorted([*root.glob("*.md"), *root.glob("docs/**/*.md"), *root.glob("examples/**/*.md")])
    package = names_of_package()
    troubles = []
    blocks = 0
    for page in pages:
        text = page.read_text(encoding="utf-8")
        here = page.relative_to(root)
        for target in LINK.findall(re.sub(r"```.*?```", "", text, flags=re.S)):
            if not re.match(r"https?:|mailto:", target) and not (page.parent / target).exists():
                troubles.append(f"{here}: no such file: {target}")
        for language, body in BLOCK.findall(text):
            blocks += 1
            try:
                if language == "python":
                    tree = ast.parse(body)
                    for node in ast.walk(tree):
                        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "vl":
                            if package is not None and node.attr not in package:
                                troubles.append(f"{here}: vidloom has no name '{node.attr}'")
                elif language == "json":
                    json.loads(body)
                elif language == "cpp" and "int main" in body:
                    command = ["g++", "-std=c++20", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{root / 'include'}", "-xc++", "-"]
                    done = subprocess.run(command, input=body, capture_output=True, text=True, check=False)
                    if done.returncode:
                        troubles.append(f"{here}: {done.stderr}")
            except (SyntaxError, json.JSONDecodeError) as error:
                troubles.append(f"{here}: {language} block: {error}")
    if len(pages) < 10 or blocks < 10:
        troubles.append(f"only {len(pages)} pages and {blocks} blocks in {root}: wrong folder?")
    print("\n".join(troubles) or f"{len(pages)} pages: links lead somewhere, {blocks} blocks of code are sound")
    return 1 if troubles else 0


if __name__ == "__main__":
    sys.exit(main())
