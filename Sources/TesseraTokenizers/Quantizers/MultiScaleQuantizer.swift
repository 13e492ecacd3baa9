package import TesseraCore

/// Residual quantization of a whole image from coarse to fine, as VAR does (arXiv 2404.02905).
///
/// At each scale what is left of the latents is averaged down to s x s, each position takes the best row of
/// one codebook, the rows are brought back to full size (bicubic), refined by a convolution, and subtracted.
/// The codes of all scales follow each other: 1 + 4 + 9 + … of them.
package struct MultiScaleQuantizer: Sendable {
  /// The 3x3 convolutions that refine what each scale adds: h ↦ (1 - ratio) h + ratio · conv(h).
  package struct Refinement: Sendable {
    /// How much of the convolution's result is taken.
    package let ratio: Float
    /// The convolutions; scales share them.
    private let convolutions: [Convolution]
    /// One network of one layer for each.
    let networks: [ConvolutionalNetwork]

    /// Creates refinements.
    ///
    /// - Parameters:
    ///   - names: The convolutions' names: `.weight` [d, d, 3, 3] and `.bias` [d] follow.
    ///   - dimensions: d.
    ///   - ratio: How much of the convolution's result is taken.
    ///   - parameter: Gives a tensor of that name, or nil where there is none.
    /// - Throws: `TesseraError`, naming tensor and expected shape.
    package init(
      names: [String],
      dimensions: Int,
      ratio: Float,
      parameter: (_ name: String) throws -> (shape: Shape, values: [Float])?
    ) throws {
      self.ratio = ratio
      convolutions = names.map { Convolution($0, dimensions, dimensions, .same) }
      networks = try convolutions.map { convolution in
        let layers = [NetworkLayer.convolution(convolution)]
        let graph = try NetworkGraph(inputChannels: dimensions, layers: layers)
        return try ConvolutionalNetwork(graph, parameter: parameter)
      }
    }

    /// The convolution of one scale, for whoever writes it down elsewhere.
    package func convolution(scale: Int, of count: Int) -> Convolution? {
      index(scale: scale, of: count).map { convolutions[$0] }
    }

    /// The convolution of one scale: the nearest of evenly spaced ticks, the first of two.
    func index(scale: Int, of count: Int) -> Int? {
      let place = count > 1 ? Double(scale) / Double(count - 1) : 0
      let shares = Double(networks.count)
      // VAR puts four ticks elsewhere than it would put another number of them. Scales lie half-way between
      // ticks, so the operations are numpy's, in its order.
      let edge = (networks.count == 4 ? 1.0 / 3 : 1.0 / 2) / shares
      let step = networks.count > 1 ? ((1 - edge) - edge) / (shares - 1) : 0
      let distances = networks.indices.map { abs(Double($0) * step + edge - place) }
      return distances.indices.min { distances[$0] < distances[$1] }
    }
  }

  /// The sides of the grids of codes, ascending; the last is that of the latents.
  package let scales: [Int]
  /// How rows of the codebook are chosen.
  package let quantizer: VectorQuantizer
  /// The convolutions; nil for none.
  package let refinement: Refinement?
  /// One pool a convolution.
  private let pools: [WorkspacePool]

  /// Creates a quantizer.
  ///
  /// - Throws: `TesseraError` for scales that do not ascend, or a rule that codes no distances.
  package init(
    scales: [Int],
    quantizer: VectorQuantizer,
    refinement: Refinement?
  ) throws(TesseraError) {
    guard !scales.isEmpty, scales.count <= 64, scales.allSatisfy({ (1...256).contains($0) }),
      zip(scales, scales.dropFirst()).allSatisfy({ $0 < $1 })
    else { throw .mismatch("scales: 1 to 64 ascending sides from 1 to 256") }
    guard quantizer.rule != .logits else {
      throw .mismatch("rule logits has no distances, which a multi-scale quantizer needs")
    }
    (self.scales, self.quantizer, self.refinement) = (scales, quantizer, refinement)
    pools = (refinement?.networks ?? []).map { WorkspacePool($0, limit: 4) }
  }

  /// The latent dimensions of one position.
  package var dimensions: Int { quantizer.dimensions }
  /// The number of codes to choose from.
  package var vocabularySize: Int { quantizer.vocabularySize }
  /// The codes of one image.
  package var tokens: Int { scales.reduce(0) { $0 + $1 * $1 } }
  /// The side of the latents' grid.
  package var side: Int { scales.last ?? 0 }

  /// The weights that average the grid to a scale's rows: [scale, side]; nil for the last scale.
  package func areaWeights(scale: Int) -> [Float]? {
    scales[scale] == side ? nil : GridResampling.areaWeights(from: side, to: scales[scale])
  }

  /// The weights that bring a scale's rows back to the grid: [side, scale]; nil for the last scale.
  package func bicubicWeights(scale: Int) -> [Float]? {
    scales[scale] == side ? nil : GridResampling.bicubicWeights(from: scales[scale], to: side)
  }

  func check(height: Int, width: Int) throws(TesseraError) {
    guard height == side, width == side else {
      throw .mismatch(
        "a grid of \(height) x \(width) positions, and the scales end at \(side) x \(side): "
          + "resize and crop the images to that"
      )
    }
  }

  /// Quantizes the latents of one image.
  ///
  /// - Throws: `TesseraError`, `.overflow`, `.shape`.
  package func quantize(_ latents: LatentGrid) throws(TesseraError) -> QuantizedLatents {
    try check(height: latents.height, width: latents.width)
    if let index = latents.values.firstIndexNotFinite {
      throw .notFinite(index: index, dimensions: dimensions)
    }
    var rest = latents.values
    var codes: [UInt32] = []
    var margins: [Float] = []
    for (index, scale) in scales.enumerated() {
      let query =
        scale == side ? rest : GridResampling.area(rest, side: side, dimensions, to: scale)
      let part = try quantizer.quantize(query)
      codes += part.codes
      margins += part.margins
      let added = try contribution(of: part.codes, scale: index)
      for position in rest.indices { rest[position] -= added[position] }
    }
    return QuantizedLatents(codes: codes, margins: margins)
  }

  /// The values that a decoder takes: [side, side, dimensions].
  ///
  /// - Throws: `TesseraError`, or `.shape` for another number of codes.
  package func values(of codes: [UInt32]) throws(TesseraError) -> [Float] {
    guard codes.count == tokens else {
      throw .mismatch("\(codes.count) codes, and an image has \(tokens)")
    }
    var sums = [Float](repeating: 0, count: side * side * dimensions)
    var first = 0
    for (index, scale) in scales.enumerated() {
      let part: [Float]
      do {
        part = try contribution(of: Array(codes[first..<first + scale * scale]), scale: index)
      } catch {
        throw error.moved(by: first)
      }
      for position in sums.indices { sums[position] += part[position] }
      first += scale * scale
    }
    return sums
  }

  /// What the codes of one scale add to the image.
  private func contribution(of codes: [UInt32], scale: Int) throws(TesseraError) -> [Float] {
    var values = try quantizer.values(of: codes)
    let extent = scales[scale]
    if extent != side {
      values = GridResampling.bicubic(values, side: extent, dimensions, to: side)
    }
    guard let refinement, let index = refinement.index(scale: scale, of: scales.count) else {
      return values
    }
    var refined: [Float] = []
    do {
      try pools[index].withScratch(height: side, width: side) { scratch in
        try scratch.workspace.run(values, into: &refined)
      }
    } catch {
      throw .mismatch("\(error)")
    }
    let ratio = refinement.ratio
    return zip(values, refined).map { $0 * (1 - ratio) + $1 * ratio }
  }
}
