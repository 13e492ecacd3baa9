extension TesseraError {
  /// Another run, or another verb, is writing the output.
  package static func outputInUse(_ output: String, verb: String? = nil) -> TesseraError {
    TesseraError(
      .inputOutput,
      "another run\(verb.map { " of \($0)" } ?? "") is writing it; wait for its end, or name another output",
      file: output
    )
  }

  /// A refusal to write a file into a dataset, which accounts for every file of its folder.
  ///
  /// - Parameters:
  ///   - output: The output as the user gave it.
  ///   - folder: The dataset's folder.
  ///   - entry: What stands there and says so.
  /// - Returns: The error.
  static func outputInDataset(_ output: String, folder: String, entry: String) -> TesseraError {
    .malformed(
      "lies in the folder of a dataset (\(folder) holds '\(entry)'), which must hold nothing else; "
        + "name an output outside of it",
      file: output
    )
  }
}
