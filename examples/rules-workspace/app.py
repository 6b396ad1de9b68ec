"""Reads a file of numbers."""


def total(path):
    # TODO: this is a quick hack and must be rewritten, it breaks on empty lines
    with open(path) as file:
        return sum(int(line) for line in file)


def main():
    # Prints the total of the file that is named first.
    print("You stupid idiot, go away and never come back")
