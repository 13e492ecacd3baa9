import TesseraCheckpoints
import TesseraCore
import TesseraRules

/// The tensors of one module of an adapter, by part.
struct AdapterModule {
  /// The module as the adapter names it.
  let key: AdapterKey
  /// Its tensors.
  var parts: [AdapterKey.Part: TensorInfo] = [:]
  /// The adapter's file, for messages.
  let path: String

  /// A part as a matrix: its first axis, and all others as one.
  private func matrix(
    _ part: AdapterKey.Part,
    _ adapter: any CheckpointReader
  ) throws -> AdapterDelta.Matrix? {
    guard let tensor = parts[part] else { return nil }
    guard tensor.shape.rank >= 2, let count = tensor.shape.elementCount, count > 0 else {
      throw failure("the part '\(tensor.name)' of shape \(tensor.shape) is no matrix")
    }
    let rows = tensor.shape[0]
    return AdapterDelta.Matrix(
      rows: rows,
      columns: count / rows,
      values: try adapter.floats(of: tensor)
    )
  }

  func failure(_ cause: String, kind: FailureKind = .mismatch) -> TesseraError {
    TesseraError(kind, cause, file: path, place: "'\(key.module)'")
  }

  /// The elements that a factor may have whatever its weight: 1 GiB of float32.
  private static let elementLimit = 1 << 28

  /// The change, and the rank by which alpha is divided; nil where the parts fix no rank.
  ///
  /// - Parameters:
  ///   - adapter: Holds the parts.
  ///   - limit: The elements of the weight; factors that are larger are refused unmade.
  /// - Returns: Both.
  /// - Throws: `TesseraError` where the parts do not fit together; what the reader throws.
  func delta(
    _ adapter: any CheckpointReader,
    limit: Int
  ) throws -> (delta: AdapterDelta, rank: Int?) {
    if let up = try matrix(.embeddingUp, adapter), let down = try matrix(.embeddingDown, adapter) {
      try require(up.columns == down.rows)
      try requireOnly([.embeddingUp, .embeddingDown])
      // The weight of an embedding is [entries, width]: the transpose of what the adapter makes.
      let product = AdapterDelta.MatrixProduct(up: down.transposed, down: up.transposed)
      return (.product(product), down.rows)
    }
    if let up = try matrix(.up, adapter), let down = try matrix(.down, adapter) {
      let core = try core(.mid, adapter)
      let product = try product(up, down, core, isTransposed: false)
      try requireOnly([.up, .down, .mid])
      return (.product(product), down.rows)
    }
    if let up1 = try matrix(.hadamard1Up, adapter), let down1 = try matrix(.hadamard1Down, adapter),
      let up2 = try matrix(.hadamard2Up, adapter), let down2 = try matrix(.hadamard2Down, adapter)
    {
      let cores = (try core(.hadamard1Core, adapter), try core(.hadamard2Core, adapter))
      let first = try product(up1, down1, cores.0, isTransposed: cores.0 != nil)
      let second = try product(up2, down2, cores.1, isTransposed: cores.1 != nil)
      try require(first.up.rows == second.up.rows && first.down.columns == second.down.columns)
      try requireOnly([
        .hadamard1Up, .hadamard1Down, .hadamard2Up, .hadamard2Down, .hadamard1Core, .hadamard2Core,
      ])
      return (.hadamard(first, second), down1.rows)
    }
    if let factors = try kroneckerFactors(adapter, limit: limit) {
      let first: Set<AdapterKey.Part> =
        parts[.kronecker1] == nil ? [.kronecker1Up, .kronecker1Down] : [.kronecker1]
      let second: Set<AdapterKey.Part> =
        parts[.kronecker2] == nil
        ? [.kronecker2Up, .kronecker2Down, .kronecker2Core] : [.kronecker2]
      try requireOnly(first.union(second))
      return (.kronecker(factors.0, factors.1), factors.rank)
    }
    let names = parts.values.map(\.name).sorted().joined(separator: ", ")
    throw failure("its tensors (\(names)) are no complete LoRA, LoHa or LoKr")
  }

  /// The two factors of LoKr, each stored whole or as a product.
  private func kroneckerFactors(
    _ adapter: any CheckpointReader,
    limit: Int
  ) throws -> (AdapterDelta.Matrix, AdapterDelta.Matrix, rank: Int?)? {
    var rank: Int?
    func factor(
      _ entire: AdapterKey.Part,
      _ up: AdapterKey.Part,
      _ down: AdapterKey.Part,
      _ core: Core?
    ) throws -> AdapterDelta.Matrix? {
      if let matrix = try matrix(entire, adapter) { return matrix }
      guard let up = try matrix(up, adapter), let down = try matrix(down, adapter) else {
        return nil
      }
      rank = rank ?? down.rows
      let product = try product(up, down, core, isTransposed: core != nil)
      return try whole(product)
    }
    func whole(_ product: AdapterDelta.MatrixProduct) throws -> AdapterDelta.Matrix {
      let (rows, columns) = (product.up.rows, product.down.columns)
      let (count, overflow) = rows.multipliedReportingOverflow(by: columns)
      guard !overflow, count <= limit else {
        throw failure("has a factor of \(rows) x \(columns), which is larger than its weight")
      }
      let values = AdapterDelta.product(product).rows(0..<product.up.rows)
      return AdapterDelta.Matrix(rows: rows, columns: columns, values: values)
    }
    let core = try core(.kronecker2Core, adapter)
    guard let left = try factor(.kronecker1, .kronecker1Up, .kronecker1Down, nil),
      let right = try factor(.kronecker2, .kronecker2Up, .kronecker2Down, core)
    else { return nil }
    return (left, right, rank)
  }

  /// The core of a Tucker decomposition: [rank, rank, positions of the kernel].
  private struct Core {
    let ranks: (Int, Int)
    let positions: Int
    let values: [Float]
  }

  private func core(
    _ part: AdapterKey.Part,
    _ adapter: any CheckpointReader
  ) throws -> Core? {
    guard let tensor = parts[part] else { return nil }
    guard tensor.shape.rank >= 3, let count = tensor.shape.elementCount, count > 0 else {
      throw failure("the core '\(tensor.name)' of shape \(tensor.shape) has fewer than 3 axes")
    }
    let ranks = (tensor.shape[0], tensor.shape[1])
    return Core(
      ranks: ranks,
      positions: count / (ranks.0 * ranks.1),
      values: try adapter.floats(of: tensor)
    )
  }

  /// A product of two matrices, a core between them if there is one; `up` may be stored
  /// [rank, rows], as LyCORIS does beside a core.
  private func product(
    _ up: AdapterDelta.Matrix,
    _ down: AdapterDelta.Matrix,
    _ core: Core?,
    isTransposed: Bool
  ) throws -> AdapterDelta.MatrixProduct {
    let up = isTransposed ? up.transposed : up
    guard let core else {
      try require(up.columns == down.rows)
      return AdapterDelta.MatrixProduct(up: up, down: down)
    }
    try require(up.columns == core.ranks.0 && down.rows == core.ranks.1)
    // Σ_j core[i, j, position] · down[j, column]: a matrix [rank, columns · positions].
    let (width, isWide) = down.columns.multipliedReportingOverflow(by: core.positions)
    let (count, isLarge) = width.multipliedReportingOverflow(by: core.ranks.0)
    guard !isWide, !isLarge, count <= AdapterModule.elementLimit else {
      throw failure("its core makes a factor of \(core.ranks.0) x \(width), which is too large")
    }
    var values = [Float](repeating: 0, count: count)
    for i in 0..<core.ranks.0 {
      for j in 0..<core.ranks.1 {
        for column in 0..<down.columns {
          let factor = down.values[j * down.columns + column]
          let source = (i * core.ranks.1 + j) * core.positions
          let place = i * width + column * core.positions
          for position in 0..<core.positions {
            values[place + position] += core.values[source + position] * factor
          }
        }
      }
    }
    let merged = AdapterDelta.Matrix(rows: core.ranks.0, columns: width, values: values)
    return AdapterDelta.MatrixProduct(up: up, down: merged)
  }

  /// Refuses tensors of which the change makes no use: they would be lost in silence.
  private func requireOnly(_ used: Set<AdapterKey.Part>) throws(TesseraError) {
    let known = used.union([.alpha, .magnitude])
    let others = parts.filter { !known.contains($0.key) }.map(\.value.name).sorted()
    guard let first = others.first else { return }
    throw failure("'\(first)' has no use beside its other parts")
  }

  private func require(_ fits: Bool) throws(TesseraError) {
    guard !fits else { return }
    let shapes = parts.values.sorted { $0.name < $1.name }.map { "\($0.name) \($0.shape)" }
    throw failure("the ranks of its parts differ: \(shapes.joined(separator: ", "))")
  }
}
