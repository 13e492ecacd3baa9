import TesseraCore

/// The way of one view into an output tensor: for every axis where elements come from and where
/// they go.
struct TensorTransfer: Sendable {
  /// One axis of a transfer.
  struct Axis: Sendable {
    var extent: Int
    /// The distance of neighbours in the source, in elements.
    var sourceStride: Int
    /// The distance of neighbours in the output, in elements.
    var outputStride: Int
    /// Which source position stands where, if not in ascending order.
    var order: [Int]?

    /// The source position of an index, in elements from index 0.
    func sourceOffset(_ index: Int) -> Int { (order?[index] ?? index) * sourceStride }
  }

  /// The tensor that is read.
  let source: TensorSource
  /// What is done to each element.
  let pipeline: ElementPipeline
  /// The source element of index 0.
  let sourceOffset: Int
  /// The output element of index 0.
  let outputOffset: Int
  /// The axes in the order of the output, outermost first; neighbours that are one run on both
  /// sides
  /// are one axis.
  let axes: [Axis]

  /// The bytes of an element in the source.
  var width: Int { source.elementType.bitWidth / 8 }
  /// The bytes of an element in the output.
  var outputWidth: Int { pipeline.output.bitWidth / 8 }
  /// The number of elements.
  var count: Int { axes.reduce(1) { $0 * $1.extent } }
  /// Whether the elements follow one another on both sides.
  var isRun: Bool {
    axes.isEmpty
      || axes.count == 1 && axes[0].sourceStride == 1 && axes[0].outputStride == 1
        && axes[0].order == nil
  }

  /// The transfers that fill an output tensor with an expression.
  static func all(of expression: TensorExpression) -> [TensorTransfer] {
    let shape = expression.shape
    guard shape.elementCount != 0 else { return [] }
    var strides = [Int](repeating: 1, count: shape.rank)
    for axis in strides.indices.dropLast().reversed() {
      strides[axis] = strides[axis + 1] * shape[axis + 1]
    }
    var start = 0
    return expression.parts.map { part in
      defer { start += part.shape.rank == 0 ? 0 : part.shape[expression.axis] }
      let offset = start == 0 ? 0 : start * strides[expression.axis]
      return TensorTransfer(part, strides: strides, outputOffset: offset)
    }
  }

  private init(_ view: TensorView, strides: [Int], outputOffset: Int) {
    source = view.source
    pipeline = view.pipeline
    sourceOffset = view.offset
    self.outputOffset = outputOffset
    var axes: [Axis] = []
    for (group, stride) in zip(view.groups, strides) {
      var inner = group.reduce(1) { $0 * $1.extent }
      for axis in group {
        inner /= max(axis.extent, 1)
        let next = Axis(
          extent: axis.extent,
          sourceStride: axis.stride,
          outputStride: stride * inner,
          order: axis.order
        )
        if let last = axes.last, last.order == nil, next.order == nil,
          last.sourceStride == next.sourceStride * next.extent,
          last.outputStride == next.outputStride * next.extent
        {
          axes[axes.count - 1].extent *= next.extent
          axes[axes.count - 1].sourceStride = next.sourceStride
          axes[axes.count - 1].outputStride = next.outputStride
        } else {
          axes.append(next)
        }
      }
    }
    self.axes = axes
  }

  /// The extents of the tiles in which the transfer is made: at most `byteLimit` bytes each.
  ///
  /// Reads are runs along the axis of stride 1 in the source, writes along that of the output. Both
  /// stay as long as they can: other axes are cut first, then the longer of the two.
  func tileExtents(byteLimit: Int) -> [Int] {
    var extents = axes.map(\.extent)
    let reading = axes.indices.min { axes[$0].sourceStride < axes[$1].sourceStride }
    let writing = axes.indices.last
    while extents.reduce(max(width, outputWidth), *) > byteLimit {
      let others = extents.indices.filter { $0 != reading && $0 != writing && extents[$0] > 1 }
      let longest = extents.indices.max { extents[$0] < extents[$1] }
      guard let cut = others.first ?? longest, extents[cut] > 1 else { break }
      extents[cut] = (extents[cut] + 1) / 2
    }
    return extents
  }
}
