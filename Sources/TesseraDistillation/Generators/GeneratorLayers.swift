import TesseraCheckpoints
import TesseraCore
import TesseraRules

/// The layers of one module of an EDM network, read when they are run and let go afterwards.
struct GeneratorLayers {
  let network: NoiseConditionedNetwork
  /// The module's name behind the network's prefix, such as `enc.32x32_block0`.
  let module: String

  /// The most elements between two layers.
  private static let elementLimit = 1 << 27

  private func tensor(_ name: String) -> TensorInfo? { network.tensor("\(module).\(name)") }

  /// Whether the module has such a tensor.
  func holds(_ name: String) -> Bool { tensor(name) != nil }

  /// An error about one of the module's tensors.
  func failure(_ name: String, _ cause: String) -> TesseraError {
    TesseraError.mismatch(cause, place: "'\(network.prefix + "\(module).\(name)")'")
  }

  /// The values of a tensor that must be there.
  private func values(_ name: String) throws -> [Double] {
    guard let tensor = tensor(name) else {
      throw failure(name, "is missing, and the network cannot be evaluated without it")
    }
    return try network.base.floats(of: tensor).map(Double.init)
  }

  /// Group normalisation with EDM's number of groups, 32 or as many as have 4 channels.
  func normalize(_ x: FeatureMap, _ layer: String) throws -> FeatureMap {
    let name = layer.isEmpty ? "" : "\(layer)."
    let (scale, shift) = (try values("\(name)weight"), try values("\(name)bias"))
    let groups = min(32, x.channels / 4)
    guard scale.count == x.channels, shift.count == x.channels, groups > 0,
      x.channels.isMultiple(of: groups)
    else {
      throw failure("\(name)weight", "normalises \(scale.count) of \(x.channels) channels")
    }
    let epsilon = network.architecture == .song ? 1e-6 : 1e-5
    return x.normalized(groups: groups, epsilon: epsilon, scale: scale, shift: shift)
  }

  /// How a convolution changes the size of the image.
  enum Resampling {
    case none, up, down
    /// The filter after the convolution, over an image that is padded for both.
    case downFused
  }

  /// A convolution of EDM's, which may resample first; a module may have only the filter.
  func convolve(
    _ x: FeatureMap,
    _ layer: String,
    _ resampling: Resampling = .none
  ) throws -> FeatureMap {
    let name = layer.isEmpty ? "" : "\(layer)."
    var x = x
    let filter = resampling == .none ? nil : try filter("\(name)resample_filter")
    if let filter, resampling == .up {
      try require(x.values.count <= GeneratorLayers.elementLimit / 4, "\(name)resample_filter")
      x = x.doubled(by: filter.values, side: filter.side, padding: filter.padding)
    } else if let filter, resampling == .down {
      try require(min(x.height, x.width) >= filter.side, "\(name)resample_filter")
      x = x.halved(by: filter.values, side: filter.side, padding: filter.padding)
    }
    if let weight = tensor("\(name)weight") {
      let shape = weight.shape
      guard shape.rank == 4, shape[1] == x.channels, shape[2] == shape[3],
        !shape[2].isMultiple(of: 2), shape[0] > 0
      else { throw failure("\(name)weight", "\(shape) convolves no \(x.channels) channels") }
      let fused = resampling == .downFused ? filter : nil
      let kernel = Matrix(
        rows: shape[0],
        columns: shape[1] * shape[2] * shape[3],
        elements: try values("\(name)weight")
      )
      try require(shape[0] <= GeneratorLayers.elementLimit / max(1, x.area), "\(name)weight")
      x = x.convolved(
        with: kernel,
        side: shape[2],
        padding: shape[2] / 2 + (fused?.padding ?? 0)
      )
      if let fused { x = x.halved(by: fused.values, side: fused.side, padding: 0) }
    } else if filter == nil {
      throw failure("\(name)weight", "is missing, and the network cannot be evaluated without it")
    }
    guard tensor("\(name)bias") != nil else { return x }
    let bias = try values("\(name)bias")
    guard bias.count == x.channels else {
      throw failure("\(name)bias", "\(bias.count) values for \(x.channels) channels")
    }
    return x.affine(scale: { _ in 1 }, shift: { bias[$0] })
  }

  private func require(_ fits: Bool, _ name: String) throws(TesseraError) {
    if !fits { throw failure(name, "does not fit the image it would be applied to") }
  }

  /// The low-pass filter of a layer that resamples.
  private func filter(_ name: String) throws -> (values: [Double], side: Int, padding: Int) {
    let values = try values(name)
    let side = tensor(name)?.shape.dimensions.last ?? 0
    guard (1...64).contains(side), values.count == side * side else {
      throw failure(name, "is no filter [1, 1, side, side]")
    }
    return (values, side, (side - 1) / 2)
  }

  /// Attention over positions; heads are parts of the channels, and q, k, v alternate in the rows.
  func attend(_ x: FeatureMap) throws -> FeatureMap {
    let qkv = try convolve(try normalize(x, "norm2"), "qkv")
    // SongUNet has one head, DhariwalUNet one for 64 channels.
    let heads = network.architecture == .song ? 1 : x.channels / 64
    guard qkv.channels == 3 * x.channels, heads > 0, x.channels.isMultiple(of: heads) else {
      throw failure("qkv.weight", "makes \(qkv.channels) channels of \(x.channels)")
    }
    let (width, area) = (x.channels / heads, x.area)
    var result = FeatureMap(channels: x.channels, height: x.height, width: x.width)
    for head in 0..<heads {
      let part = { (index: Int) in
        Matrix(
          rows: width,
          columns: area,
          elements: (0..<width).flatMap { channel in
            let row = (head * width + channel) * 3 + index
            return qkv.values[row * area..<(row + 1) * area]
          }
        )
      }
      let values = GeneratorLayers.attention(query: part(0), key: part(1), value: part(2))
      result.values.replaceSubrange(head * width * area..<(head + 1) * width * area, with: values)
    }
    return try convolve(result, "proj")
  }

  /// softmax(qᵀ k / sqrt(width)) over the keys, applied to v: [width, positions] each, some queries
  /// at a time.
  private static func attention(query: Matrix, key: Matrix, value: Matrix) -> [Double] {
    let (width, area) = (query.rows, query.columns)
    var result = [Double](repeating: 0, count: width * area)
    let block = max(1, (1 << 21) / area)
    let scale = 1 / Double(width).squareRoot()
    for first in stride(from: 0, to: area, by: block) {
      let rows = first..<min(first + block, area)
      let queries = Matrix(
        rows: rows.count,
        columns: width,
        elements: rows.flatMap { row in (0..<width).map { query[$0, row] * scale } }
      )
      var weights = LinearAlgebra.product(queries, key)
      for row in 0..<rows.count {
        let range = row * area..<(row + 1) * area
        let maximum = weights.elements[range].max() ?? 0
        var sum = 0.0
        for index in range {
          weights.elements[index] = ElementaryFunctions.exp(weights.elements[index] - maximum)
          sum += weights.elements[index]
        }
        for index in range { weights.elements[index] /= sum }
      }
      let mixed = LinearAlgebra.product(weights, value.transposed)
      for row in 0..<rows.count {
        for channel in 0..<width { result[channel * area + first + row] = mixed[row, channel] }
      }
    }
    return result
  }
}
