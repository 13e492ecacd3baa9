public import Foundation

/// Turns pictures into a dataset of discrete codes.
///
/// Run again, with the same request, it continues after an interruption: the result is the same, byte for
/// byte, and a finished dataset is only checked.
///
/// - Parameters:
///   - pictures: Folders, single `.jpg`, `.jpeg` and `.png` files, lists (`.txt`) or archives (`.tar`).
///   - folder: The dataset's folder: new, empty, or begun with the same request.
///   - request: What fixes the dataset beside its pictures.
///   - selection: Which files of folders, lists and archives are taken.
///   - workers: How many pictures are in flight; changes no byte of the output.
///   - progress: Hears of each picture and shard, in order.
/// - Returns: What the dataset holds. Pictures that could not be read are counted there, and named with the
///   reason in `rejected.jsonl`.
/// - Throws: The libraries' errors: each is a `TesseraError` of one line.
@discardableResult
public func tokenize(
  _ pictures: String...,
  into folder: String,
  as request: TokenizationRequest = TokenizationRequest(),
  taking selection: ImageSelection = ImageSelection(),
  workers: Int = ProcessInfo.processInfo.activeProcessorCount,
  progress: (ShardProgress) -> Void = { _ in }
) async throws -> DatasetManifest {
  let folder = DatasetFolder(folder)
  let tokenizer = try ImageTokenizer(opening: request.tokenizer, for: .encoder)
  var selection = selection
  selection.captionEndings = request.captionEndings
  let images = try ImageInputs.collect(pictures, selection)
  let draft = try DatasetDraft(of: images, request, tokenizer)
  if case .planned(let plan) = try draft.prepare(in: folder) {
    _ = try await folder.run(
      shards: Array(0..<plan.shardCount),
      of: plan,
      tokenizer: tokenizer,
      workers: workers,
      progress: progress
    )
  }
  return try folder.finish()
}
