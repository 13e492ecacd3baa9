import Tessera

func convertToTorch(_ checkpoint: String, to output: String) async throws {
  var request = ConversionRequest(to: "torch")
  request.precision = .bf16
  request.keptFloat32 = ["*bias*"]
  let files = try await convert(checkpoint, to: output, as: request)
  print("written:", files.all)
}
