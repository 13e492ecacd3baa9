import TesseraCore

/// The way of one image: bytes, pixels, encoded result.
package struct ImagePreparation: Sendable {
  /// What a picture is written as.
  package enum Encoding: String, CaseIterable, Sendable {
    case png
    case npy
  }

  package enum Outcome: Sendable {
    case prepared(ImageInput, [UInt8])
    case rejected(Rejection)
  }

  private let profile: Preprocessing
  private let limits: ImageLimits
  private let encoding: Encoding

  /// Prepares for images.
  ///
  /// - Parameters:
  ///   - profile: What happens to an image before its network.
  ///   - limits: What a file may demand.
  ///   - encoding: What the pixels are written as.
  package init(profile: Preprocessing, limits: ImageLimits, encoding: Encoding) {
    (self.profile, self.limits, self.encoding) = (profile, limits, encoding)
  }

  /// The encoded pixels of one image, or why there are none.
  ///
  /// - Throws: `TesseraError` where this machine is at fault.
  @concurrent @Sendable
  package func outcome(of input: ImageInput) async throws -> Outcome {
    var stage = Rejection.Stage.read
    do {
      let bytes = try input.bytes(maximumBytes: limits.bytes)
      stage = .decode
      let image = try LibraryCrash.naming(input.source, library: .image) {
        try profile.image(from: bytes, limits: limits).image
      }
      return .prepared(input, try encoded(image))
    } catch let error as TesseraError {
      if error.isMachineFault { throw error }
      return .rejected(input.rejection(stage, error))
    }
  }

  private func encoded(_ image: RGBImage) throws -> [UInt8] {
    switch encoding {
    case .png:
      return try PNGFile.encode(image)
    case .npy:
      let shape: Shape = [image.height, image.width, 3]
      return try NPYFile.encode(Tensor(elementType: .uint8, shape: shape, bytes: image.pixels))
    }
  }
}
