package import TesseraCore

/// How latents become codes, and codes become what a decoder takes: any of the quantizers.
///
/// A position of the latent grid has one code, or several side by side (`grouped`, `residual`); a
/// multi-scale quantizer takes whole images. All arrays are flat, positions outermost.
package indirect enum Quantizer: Sendable {
  /// Finite scalar quantization.
  case finiteScalar(FiniteScalarQuantizer)
  /// The best row of a codebook.
  case vector(VectorQuantizer)
  /// One bit a dimension.
  case binary(BinaryQuantizer)
  /// Several side by side.
  case grouped(GroupedQuantizer)
  /// Several one after the other.
  case residual(ResidualQuantizer)
  /// Residuals at several resolutions of one image.
  case multiScale(MultiScaleQuantizer)

  /// The latent dimensions of one position.
  package var dimensions: Int {
    switch self {
    case .finiteScalar(let quantizer): quantizer.dimensions
    case .vector(let quantizer): quantizer.dimensions
    case .binary(let quantizer): quantizer.dimensions
    case .grouped(let quantizer): quantizer.groups.reduce(0) { $0 + $1.dimensions }
    case .residual(let quantizer): quantizer.stages[0].dimensions
    case .multiScale(let quantizer): quantizer.dimensions
    }
  }

  /// The values of one position that a decoder takes; 0 where codes have none.
  package var valueDimensions: Int {
    switch self {
    case .finiteScalar(let quantizer): quantizer.variant == .s3 ? 0 : quantizer.dimensions
    case .vector(let quantizer): quantizer.valueDimensions
    case .binary(let quantizer): quantizer.dimensions
    case .grouped(let quantizer): quantizer.groups.reduce(0) { $0 + $1.valueDimensions }
    case .residual(let quantizer): quantizer.stages[0].dimensions
    case .multiScale(let quantizer): quantizer.dimensions
    }
  }

  /// The number of codes that each place of a position chooses from.
  package var vocabularySizes: [Int] {
    switch self {
    case .finiteScalar(let quantizer): [quantizer.vocabularySize]
    case .vector(let quantizer): [quantizer.vocabularySize]
    case .binary(let quantizer): [quantizer.vocabularySize]
    case .grouped(let quantizer): quantizer.groups.flatMap(\.vocabularySizes)
    case .residual(let quantizer): quantizer.stages.flatMap(\.vocabularySizes)
    case .multiScale(let quantizer): [quantizer.vocabularySize]
    }
  }

  /// The codes of one position; 1 for a multi-scale quantizer, whose codes belong to the image.
  package var codesPerPosition: Int { vocabularySizes.count }

  /// The number that every code is below.
  package var vocabularySize: Int { vocabularySizes.max() ?? 0 }

  /// Whether each position is quantized by itself.
  package var takesPositions: Bool { if case .multiScale = self { false } else { true } }

  /// What the margins are differences of, for a report.
  package var marginUnit: String {
    switch self {
    case .finiteScalar: "levels"
    case .binary(let quantizer): quantizer.kind == .bsq ? "normalized latents" : "latents"
    case .vector(let quantizer):
      switch quantizer.rule {
      case .l2: "squared distances"
      case .cosine: "cosines"
      case .dot, .logits: "scores"
      }
    case .grouped(let quantizer): Quantizer.marginUnit(quantizer.groups)
    case .residual(let quantizer): Quantizer.marginUnit(quantizer.stages)
    case .multiScale: "squared distances"
    }
  }

  private static func marginUnit(_ parts: [Quantizer]) -> String {
    let units = Set(parts.map(\.marginUnit))
    return units.count == 1 ? units.first ?? "" : "each part's own unit"
  }

  /// Quantizes positions.
  ///
  /// - Parameter latents: ``dimensions`` values per position, flat, channels last.
  /// - Returns: ``codesPerPosition`` codes per position, and the margin of each.
  /// - Throws: `TesseraError` with the index of the first latent that has no code, `.overflow`,
  ///   `.shape` where the last position is incomplete or whole images are needed.
  package func quantize(_ latents: [Float]) throws(TesseraError) -> QuantizedLatents {
    let (count, rest) = latents.count.quotientAndRemainder(dividingBy: dimensions)
    guard rest == 0 else {
      throw .mismatch(
        "\(latents.count) latents are not whole positions of \(dimensions) dimensions"
      )
    }
    return switch self {
    case .finiteScalar(let quantizer): try quantizer.quantize(latents)
    case .vector(let quantizer): try quantizer.quantize(latents)
    case .binary(let quantizer): try quantizer.quantize(latents)
    case .grouped(let quantizer): try quantizer.quantize(latents, count: count)
    case .residual(let quantizer): try quantizer.quantize(latents, count: count)
    case .multiScale: throw .mismatch("a multi-scale quantizer takes whole images [..., h, w, d]")
    }
  }

  /// The values that a decoder takes: ``valueDimensions`` a position.
  ///
  /// - Throws: `TesseraError`; `.setting` where codes have no values; `.shape` where the
  ///   last position is incomplete or whole images are needed.
  package func values(of codes: [UInt32]) throws(TesseraError) -> [Float] {
    let (count, rest) = codes.count.quotientAndRemainder(dividingBy: codesPerPosition)
    guard rest == 0 else {
      throw .mismatch("\(codes.count) codes are not whole positions of \(codesPerPosition) codes")
    }
    return switch self {
    case .finiteScalar(let quantizer): try quantizer.values(of: codes)
    case .vector(let quantizer): try quantizer.values(of: codes)
    case .binary(let quantizer): try quantizer.values(of: codes)
    case .grouped(let quantizer): try quantizer.values(of: codes, count: count)
    case .residual(let quantizer): try quantizer.values(of: codes, count: count)
    case .multiScale: throw .mismatch("a multi-scale quantizer takes the codes of whole images")
    }
  }

  /// The shape of the codes of an image of `height` x `width` positions: [h, w], [h, w, codes] or [tokens].
  ///
  /// - Throws: `TesseraError` where a multi-scale quantizer has another size.
  package func codeShape(height: Int, width: Int) throws(TesseraError) -> [Int] {
    if case .multiScale(let quantizer) = self {
      try quantizer.check(height: height, width: width)
      return [quantizer.tokens]
    }
    return codesPerPosition == 1 ? [height, width] : [height, width, codesPerPosition]
  }

  /// Quantizes the latents of one image.
  ///
  /// - Returns: The codes, and the margin of each.
  /// - Throws: As ``quantize(_:)``, and `.shape` where a multi-scale quantizer has another size.
  package func quantize(
    _ latents: LatentGrid
  ) throws(TesseraError) -> (grid: CodeGrid, margins: [Float]) {
    let (height, width) = (latents.height, latents.width)
    guard latents.dimensions == dimensions else {
      throw .mismatch(
        "\(latents.dimensions) latents per position, and the quantizer takes \(dimensions)"
      )
    }
    let quantized =
      if case .multiScale(let quantizer) = self {
        try quantizer.quantize(latents)
      } else {
        try quantize(latents.values)
      }
    let shape = try codeShape(height: height, width: width)
    let grid = CodeGrid(height: height, width: width, shape: shape, codes: quantized.codes)
    return (grid, quantized.margins)
  }

  /// The values that a decoder takes for the codes of one image: [height, width, ``valueDimensions``].
  ///
  /// - Throws: As ``values(of:)``, and `.shape` where the grid has another shape than the quantizer gives.
  package func values(of grid: CodeGrid) throws(TesseraError) -> [Float] {
    let shape = try codeShape(height: grid.height, width: grid.width)
    guard grid.shape == shape else {
      throw .mismatch("codes of shape \(grid.shape), and this quantizer gives \(shape)")
    }
    if case .multiScale(let quantizer) = self { return try quantizer.values(of: grid.codes) }
    return try values(of: grid.codes)
  }
}
