import Tessera

func makeDataset(of photos: String, in folder: String) async throws {
  var request = TokenizationRequest()
  request.positions = .mrope
  request.format = .parquet
  let dataset = try await tokenize(photos, into: folder, as: request)
  print(dataset.samples, "samples,", dataset.tokens, "tokens,", dataset.rejected, "rejected")
}
