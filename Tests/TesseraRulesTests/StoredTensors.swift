import Fixtures
import TesseraCheckpoints
import TesseraCore
import TesseraRules
import Testing

/// Tensors in a safetensors file, to be converted and read back.
struct StoredTensors {
  let folder: TemporaryFolder
  let checkpoint: SafetensorsCheckpoint

  /// Stores tensors of these shapes; their bytes count 0, 1, 2, … with a step of 7.
  init(_ tensors: [TensorInfo], metadata: [String: String] = [:]) throws {
    folder = try TemporaryFolder()
    let layout = try SafetensorsLayout(tensors: tensors, metadata: metadata)
    let path = "\(folder.path)/in.safetensors"
    let file = try SafetensorsFile(path: path, layout: layout)
    for entry in layout.entries {
      let bytes = (0..<entry.bytes.count).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 8) }
      try bytes.withUnsafeBytes { try file.write($0, at: 0, of: entry) }
    }
    try file.commit()
    checkpoint = try SafetensorsCheckpoint(path: path)
  }

  /// Stores these tensors.
  init(_ tensors: [String: Tensor], metadata: [String: String] = [:]) throws {
    folder = try TemporaryFolder()
    let infos = tensors.map {
      TensorInfo(name: $0.key, elementType: $0.value.elementType, shape: $0.value.shape)
    }
    let layout = try SafetensorsLayout(tensors: infos, metadata: metadata)
    let path = "\(folder.path)/in.safetensors"
    let file = try SafetensorsFile(path: path, layout: layout)
    for entry in layout.entries {
      let bytes = tensors[entry.tensor.name]?.bytes ?? []
      try bytes.withUnsafeBytes { try file.write($0, at: 0, of: entry) }
    }
    try file.commit()
    checkpoint = try SafetensorsCheckpoint(path: path)
  }

  subscript(name: String) -> TensorInfo? { checkpoint.tensors.first { $0.name == name } }

  /// Converts by rules and opens the result.
  func converted(
    by rules: ConversionRules,
    shardByteLimit: Int? = nil
  ) async throws -> SafetensorsCheckpoint {
    let conversion = CheckpointConversion(
      of: checkpoint,
      plan: try ConversionPlan(rules, of: checkpoint)
    )
    let path = "\(folder.path)/out.safetensors"
    let files = try await conversion.write(to: path, shardByteLimit: shardByteLimit).all
    return try SafetensorsCheckpoint(path: try #require(files.last))
  }
}

/// The whole of a tensor.
func bytes(_ name: String, of checkpoint: SafetensorsCheckpoint) throws -> [UInt8] {
  let tensor = try #require(checkpoint.tensors.first { $0.name == name })
  let count = try #require(tensor.shape.elementCount)
  let size = try #require(tensor.elementType.byteCount(elements: count))
  var bytes = [UInt8](repeating: 0, count: size)
  try bytes.withUnsafeMutableBytes { try checkpoint.read(0..<count, of: tensor, into: $0) }
  return bytes
}

/// A permutation of axes, element by element, as its definition says.
func permuted(_ bytes: [UInt8], _ shape: [Int], _ axes: [Int], width: Int) -> [UInt8] {
  var strides = [Int](repeating: 1, count: shape.count)
  for axis in shape.indices.dropLast().reversed() {
    strides[axis] = strides[axis + 1] * shape[axis + 1]
  }
  let extents = axes.map { shape[$0] }
  var result: [UInt8] = []
  result.reserveCapacity(bytes.count)
  for position in 0..<shape.reduce(1, *) {
    var rest = position
    var source = 0
    for axis in extents.indices.reversed() {
      source += rest % extents[axis] * strides[axes[axis]]
      rest /= extents[axis]
    }
    result += bytes[source * width..<(source + 1) * width]
  }
  return result
}

extension CheckpointConversion {
  /// A conversion of a checkpoint's own files.
  init(of checkpoint: any CheckpointReader, plan: ConversionPlan) {
    self.init(
      of: checkpoint,
      sourceFiles: checkpoint.files,
      plan: plan,
      toolVersion: "test"
    )
  }
}
