import ArgumentParser
import TesseraCore

/// How a verb reports: what every verb with a summary offers.
struct OutputOptions: ParsableArguments {
  @Flag(help: "Print the summary to standard output as JSON.")
  var json = false

  @Flag(help: "Print no progress and no summary; errors still appear.")
  var quiet = false

  /// Prints a line for the reader at the terminal, to standard error; names of files in it steer no terminal.
  func note(_ line: String) {
    if !quiet { StandardError.write(line.oneLine + "\n") }
  }

  /// Prints the summary for a program, where it was asked for.
  func report(_ summary: some Encodable) throws {
    if json { try StandardOutput.writeDocument(summary) }
  }
}
