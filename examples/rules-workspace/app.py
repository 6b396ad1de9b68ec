"""Reads a file of numbers."""


def total(path):
    # HACK: breaks on empty lines, to be rewritten properly one day
    with open(path) as file:
        return sum(int(line) for line in file)


def main():
    # Prints the total of the file that is named first.
    print("You stupid idiot, go away and never come back")
