import ArgumentParser
import TesseraTokenizers

/// The networks that `tessera-bench network` measures, with drawn weights.
enum NetworkShape: String, CaseIterable, ExpressibleByArgument {
  /// The embedded tokenizer's encoder: Haar patches of 4, 64 and 128 channels, 8 pixels per code.
  case tesseraF8 = "tessera-f8"
  /// LlamaGen's VQ-16 encoder: 128 to 512 channels, attention at the coarsest level, 16 pixels per code.
  case vq16 = "vq-16"
  /// Chameleon's encoder: as VQ-16's with attention in the middle alone, 256 latents per position.
  case chameleon

  /// The encoder's layers.
  func graph() throws -> NetworkGraph {
    var half: AutoencoderConfiguration.Half =
      switch self {
      case .tesseraF8:
        AutoencoderConfiguration.Half(
          latentChannels: 32,
          baseChannels: 64,
          levels: Self.levels([64, 128], blocks: 1),
          codeChannels: 6
        )
      case .vq16:
        AutoencoderConfiguration.Half(
          latentChannels: 256,
          baseChannels: 128,
          levels: Self.levels([128, 128, 256, 256, 512], blocks: 2, lastAttends: true),
          codeChannels: 8
        )
      case .chameleon:
        AutoencoderConfiguration.Half(
          latentChannels: 256,
          baseChannels: 128,
          levels: Self.levels([128, 128, 256, 256, 512], blocks: 2),
          codeChannels: 256
        )
      }
    if self == .tesseraF8 {
      half.imageChannels = 48
      half.middleAttends = false
    }
    let configuration = AutoencoderConfiguration(encoder: half, decoder: nil)
    guard let graph = try configuration.encoderGraph() else {
      throw ValidationError("\(rawValue) has no encoder")
    }
    return graph
  }

  /// The network with drawn weights.
  func network() throws -> ConvolutionalNetwork {
    let graph = try graph()
    return try DrawnNumbers.network(graph)
  }

  private static func levels(
    _ channels: [Int],
    blocks: Int,
    lastAttends: Bool = false
  ) -> [AutoencoderConfiguration.Level] {
    channels.enumerated().map { index, width in
      let isLast = index == channels.count - 1
      return AutoencoderConfiguration.Level(
        channels: width,
        blocks: blocks,
        attends: isLast && lastAttends,
        resamples: !isLast
      )
    }
  }
}
