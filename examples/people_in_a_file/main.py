"""How many people are on the street, twice a second?

.venv/bin/python examples/people_in_a_file/main.py street.mp4
"""

import sys

import vidloom as vl

source = sys.argv[1] if len(sys.argv) > 1 else "build/clips/vtest.avi"
due = answered = 0
for frame in vl.analyze(source, vl.people(every=0.5, min_confidence=0.6)):
    people = frame["people"]
    due += 1
    if people.answered:
        answered += 1
        print(f"{frame.media_time:7.2f} s   {len(people)} people")
    else:
        print(f"{frame.media_time:7.2f} s   not known: {people.error}")
print(f"{answered} of {due} frames answered")
