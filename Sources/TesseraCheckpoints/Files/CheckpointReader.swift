public import TesseraCore

/// What a checkpoint says of one tensor before any of its data is read.
public struct TensorInfo: Hashable, Sendable {
  /// The name under which the file holds the tensor.
  public let name: String
  /// The type of the elements.
  public let elementType: ElementType
  /// The extents, outermost first.
  public let shape: Shape
  /// The earlier tensor whose storage this one shares, if any.
  public let aliasOf: String?

  /// Creates a description; shape times element width must not overflow.
  public init(name: String, elementType: ElementType, shape: Shape, aliasOf: String? = nil) {
    (self.name, self.elementType, self.shape, self.aliasOf) = (name, elementType, shape, aliasOf)
  }
}

/// A tensor that is there but cannot be read safely and exactly; a conversion would lose it.
public struct TensorRefusal: Hashable, Sendable, CustomStringConvertible {
  /// Its name, under which a selection can leave it out; empty for the whole file.
  public let name: String
  /// Why it is not read, and what to do.
  public let cause: String
  /// Whether reading would be unsafe: links out of the file, sizes that would fill the memory.
  public let isUnsafe: Bool

  /// Creates a refusal of a tensor, or of the whole file where the name is empty.
  public init(_ name: String, _ cause: String, isUnsafe: Bool = false) {
    (self.name, self.cause, self.isUnsafe) = (name, cause, isUnsafe)
  }

  /// Name and cause on one line.
  public var description: String { name.isEmpty ? cause : "\(name): \(cause)" }
}

/// A file (or a folder of shards) of named tensors, read lazily.
///
/// Opening reads names, shapes and types and checks them against the file; data comes later, a range
/// at a time, so memory is bounded by the caller's buffer.
public protocol CheckpointReader: Sendable {
  /// The format's name as `inspect` prints it, such as `safetensors` or `keras-h5`.
  var format: String { get }
  /// Every tensor, in the file's own order.
  var tensors: [TensorInfo] { get }
  /// What the file says beside its tensors, such as `__metadata__` or `keras_version`.
  var attributes: [String: String] { get }
  /// What was skipped or noticed, a sentence each: strings, compounds, unusual types.
  var notes: [String] { get }
  /// Tensors that are there but cannot be read safely and exactly.
  ///
  /// They stand among the notes too; a conversion would lose them.
  var refusals: [TensorRefusal] { get }
  /// What the file says of itself, as far as files of other formats can say it too.
  var metadata: CheckpointMetadata { get }
  /// The files that hold the data, in the order in which they were opened.
  var files: [String] { get }

  /// Reads a range of one tensor's elements, counted in row-major order, as little-endian bytes.
  ///
  /// - Parameters:
  ///   - elements: The range; whole bytes for sub-byte types.
  ///   - tensor: One of `tensors`.
  ///   - buffer: Exactly as many bytes as the range takes.
  /// - Throws: A `TesseraError` where the file ends early, is damaged or cannot be read.
  func read(
    _ elements: Range<Int>,
    of tensor: TensorInfo,
    into buffer: UnsafeMutableRawBufferPointer
  ) throws
}

extension CheckpointReader {
  /// Nothing: most formats hold only what can be read.
  public var refusals: [TensorRefusal] { [] }
  /// Nothing but what earlier conversions stated.
  package var metadata: CheckpointMetadata {
    CheckpointMetadata(strings: attributes.filter { $0.key.hasPrefix("tessera.") })
  }
  /// None: what is held in memory has no files.
  public var files: [String] { [] }
}
