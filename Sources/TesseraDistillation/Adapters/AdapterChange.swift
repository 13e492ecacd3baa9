import TesseraCheckpoints
import TesseraCore
import TesseraRules

/// What one module of an adapter does to its weight.
struct AdapterChange {
  let delta: AdapterDelta
  let scale: Double
  let rank: Int?
  /// The norms of the rows, for DoRA.
  private let magnitudes: [Float]?

  init(
    _ module: AdapterModule,
    of adapter: any CheckpointReader,
    on weight: TensorInfo,
    _ configuration: AdapterConfiguration?,
    strength: Double
  ) throws {
    var (delta, rank) = try module.delta(adapter, limit: weight.shape.elementCount ?? 0)
    let isEmbedding = module.parts[.embeddingUp] != nil
    if configuration?.weightIsTransposed == true, !isEmbedding,
      case .product(let product) = delta
    {
      delta = .product(
        AdapterDelta.MatrixProduct(up: product.down.transposed, down: product.up.transposed)
      )
    }
    let rows = weight.shape[0]
    let columns = (weight.shape.elementCount ?? 0) / max(rows, 1)
    guard delta.extents == (rows, columns) else {
      throw module.failure(
        "changes a matrix of \(delta.extents.rows) x \(delta.extents.columns), and "
          + "'\(weight.name)' is \(weight.shape)"
      )
    }
    guard weight.elementType.isMergeable else {
      throw module.failure(
        "'\(weight.name)' is \(weight.elementType.rawValue); merge into floating-point weights"
      )
    }
    if let contradiction = configuration?.contradiction(of: module, rank: rank) {
      throw module.failure(contradiction)
    }
    (self.delta, self.rank) = (delta, rank)
    let factor = try strength * AdapterChange.scale(module, adapter, configuration, rank: rank)
    guard Float(factor).isFinite else {
      let cause = "its change would be multiplied by \(factor); look at alpha and rank"
      throw module.failure(cause, kind: .numericLimit)
    }
    scale = factor
    magnitudes = try AdapterChange.magnitudes(module, adapter, rows: rows)
    if magnitudes != nil, configuration?.weightIsTransposed == true || isEmbedding {
      throw module.failure("DoRA on a transposed weight or an embedding is not defined by rows")
    }
  }

  /// alpha / rank, from the module's own alpha, the configuration or the naming's rule.
  private static func scale(
    _ module: AdapterModule,
    _ adapter: any CheckpointReader,
    _ configuration: AdapterConfiguration?,
    rank: Int?
  ) throws -> Double {
    if let tensor = module.parts[.alpha] {
      guard tensor.shape.elementCount == 1, let alpha = try adapter.floats(of: tensor).first else {
        throw module.failure("alpha '\(tensor.name)' has the shape \(tensor.shape), not one value")
      }
      // LyCORIS stores no rank where both factors are whole: nothing is scaled then.
      return rank.map { Double(alpha) / Double($0) } ?? 1
    }
    let configured = rank ?? configuration?.rank
    if let rank = configured,
      let scales = configuration?.scales(of: module.key.module, rank: rank),
      let scale = scales.first
    {
      guard scales.count == 1 else {
        throw module.failure("several keys of 'alpha_pattern' fit it and give different alphas")
      }
      return scale
    }
    guard module.key.naming != .peft else {
      throw module.failure(
        "nothing says alpha; put peft's adapter_config.json beside the file"
      )
    }
    // The rule of kohya's and diffusers' loaders: without alpha, alpha is the rank.
    return 1
  }

  private static func magnitudes(
    _ module: AdapterModule,
    _ adapter: any CheckpointReader,
    rows: Int
  ) throws -> [Float]? {
    guard let tensor = module.parts[.magnitude] else { return nil }
    // LyCORIS stores [rows, 1, …] or, for norms of columns, [1, columns, …]; peft [rows], and
    // [1, rows, 1, 1] for convolutions.
    let isLyCORIS = tensor.name.contains("dora_scale")
    let axes = tensor.shape.dimensions.filter { $0 != 1 }
    guard axes == [rows] || (rows == 1 && axes.isEmpty),
      !isLyCORIS || tensor.shape.dimensions.first == rows
    else {
      throw module.failure(
        "DoRA's magnitudes '\(tensor.name)' are \(tensor.shape), not one for each of \(rows) rows"
      )
    }
    let magnitudes = try adapter.floats(of: tensor)
    guard magnitudes.allSatisfy(\.isFinite) else {
      let cause = "DoRA's magnitudes '\(tensor.name)' are not finite"
      throw module.failure(cause, kind: .numericLimit)
    }
    return magnitudes
  }

  /// The merged weight, computed from the base's rows.
  func tensor(on weight: TensorInfo, of base: any CheckpointReader) -> ComputedTensor {
    ComputedTensor(
      info: TensorInfo(name: weight.name, elementType: weight.elementType, shape: weight.shape)
    ) {
      [delta, scale, magnitudes] rows in
      var values = try base.floats(of: weight, rows: rows)
      let change = delta.rows(rows)
      let factor = Float(scale)
      for index in values.indices { values[index] += factor * change[index] }
      guard let magnitudes, !rows.isEmpty else { return values }
      let columns = values.count / rows.count
      for (position, row) in rows.enumerated() {
        let range = position * columns..<(position + 1) * columns
        let square = values[range].reduce(0.0) { $0 + Double($1) * Double($1) }
        let gain = magnitudes[row] / Float(square.squareRoot())
        guard gain.isFinite else {
          let cause = "row \(row) has the norm \(square.squareRoot()), and DoRA divides by it"
          throw TesseraError.limit(cause, place: "'\(weight.name)'")
        }
        for index in range { values[index] *= gain }
      }
      return values
    }
  }
}
