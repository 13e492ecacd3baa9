package import TesseraCore

/// A tensor that a network needs: its name in the checkpoint and its shape.
package struct NetworkParameter: Hashable, Sendable {
  /// The name in the checkpoint.
  package let name: String
  /// The shape as PyTorch stores it: OIHW for convolutions, IOHW for transposed ones.
  package let shape: Shape
}

/// A convolution; `name` stands before `.weight` and `.bias`.
package struct Convolution: Hashable, Sendable {
  /// Kernel, stride and padding, as far as the families of autoencoders use them.
  package enum Geometry: Hashable, Sendable, CaseIterable {
    /// 1x1.
    case pointwise
    /// 3x3, padding 1: keeps the extents.
    case same
    /// 7x7, padding 3: keeps the extents (dVAE).
    case sameSeven
    /// 3x3 of stride 2 over an image with one row and column of zeros at its end (taming's rule).
    case halving
    /// 3x3 of stride 2, padding 1 on all sides (MAGVIT-2's rule).
    case halvingSymmetric
    /// 4x4 of stride 2, padding 1 (VQ-VAE).
    case halvingFour
    /// Nearest upsampling to twice the extents, then 3x3 with padding 1.
    case doubling
    /// Transposed, 4x4 of stride 2, padding 1 (VQ-VAE).
    case doublingTransposed
    /// 3x3 with padding 1 to four times the channels, a quarter for each place of a 2x2 block: depth to
    /// space in DCR order (MAGVIT-2).
    case doublingShuffled
  }

  /// What the parameters' names begin with.
  package let name: String
  /// The number of channels that come in.
  package let inputChannels: Int
  /// The number of channels that go out.
  package let outputChannels: Int
  /// Kernel, stride and padding.
  package let geometry: Geometry
  /// Whether there is a bias.
  package let hasBias: Bool

  /// Creates a convolution.
  package init(
    _ name: String,
    _ inputChannels: Int,
    _ outputChannels: Int,
    _ geometry: Geometry,
    hasBias: Bool = true
  ) {
    (self.name, self.inputChannels, self.outputChannels) = (name, inputChannels, outputChannels)
    (self.geometry, self.hasBias) = (geometry, hasBias)
  }

  /// The extent of the kernel.
  package var kernel: Int {
    switch geometry {
    case .pointwise: 1
    case .same, .halving, .halvingSymmetric, .doubling, .doublingShuffled: 3
    case .halvingFour, .doublingTransposed: 4
    case .sameSeven: 7
    }
  }

  /// The multiply-adds for each position of the output.
  var multiplyAdds: Int {
    // A transposed convolution of stride 2 meets a quarter of its taps at each position.
    let taps = geometry == .doublingTransposed ? kernel * kernel / 4 : kernel * kernel
    return taps * inputChannels * outputChannels
  }

  /// The weight, and the bias where there is one.
  package var parameters: [NetworkParameter] {
    let shape: Shape =
      switch geometry {
      case .doublingTransposed: [inputChannels, outputChannels, kernel, kernel]
      default: [filters, inputChannels, kernel, kernel]
      }
    let weight = NetworkParameter(name: "\(name).weight", shape: shape)
    return hasBias
      ? [weight, NetworkParameter(name: "\(name).bias", shape: [filters])] : [weight]
  }

  /// The filters that the checkpoint holds: four times the channels where depth becomes space.
  private var filters: Int {
    geometry == .doublingShuffled ? 4 * outputChannels : outputChannels
  }

  /// Whether the extents are halved or doubled: 0 where they stay.
  var scaling: Int {
    switch geometry {
    case .pointwise, .same, .sameSeven: 0
    case .halving, .halvingSymmetric, .halvingFour: -1
    case .doubling, .doublingTransposed, .doublingShuffled: 1
    }
  }

  /// The output's extent for an input's height or width.
  func extent(_ input: Int) -> Int {
    switch geometry {
    case .pointwise, .same, .sameSeven: input
    case .halving, .halvingFour: input / 2
    case .halvingSymmetric: (input + 1) / 2
    case .doubling, .doublingTransposed, .doublingShuffled: input * 2
    }
  }
}
