/// Converts a checkpoint to another format, layout or precision.
///
/// Every tensor of the checkpoint is used, or named as dropped in the plan; what a request has no rule for is
/// an error, and nothing is written then.
///
/// - Parameters:
///   - checkpoint: A file of any format, a shard index, or a folder that holds one.
///   - output: The file to write, or a folder.
///   - request: What is to be done: a layout, recipes, a type, a selection.
///   - progress: Is told how many bytes of data have been written.
/// - Returns: The files that were written.
/// - Throws: The libraries' errors: each is a `TesseraError` of one line.
@discardableResult
public func convert(
  _ checkpoint: String,
  to output: String,
  as request: ConversionRequest = ConversionRequest(),
  progress: @Sendable (Int) -> Void = { _ in }
) async throws -> ConvertedFiles {
  let prepared = try PreparedConversion(of: checkpoint, to: output, request)
  return try await prepared.write(to: output, progress: progress).files
}
