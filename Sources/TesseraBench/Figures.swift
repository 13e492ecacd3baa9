import TesseraCore

/// Where figures go: JSON to standard output, words to standard error.
enum Figures {
  /// Prints a line for the reader at the terminal.
  static func note(_ line: String) { StandardError.write(line + "\n") }

  /// Prints figures for a program.
  static func report(_ figures: some Encodable) throws { try StandardOutput.writeDocument(figures) }
}
