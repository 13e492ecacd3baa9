/// One tile of a transfer: what to read, how to reorder it in memory, what to write.
struct TransferTile {
  /// A run of elements between a file and a place in a buffer.
  struct Read {
    /// The first element in the source tensor.
    let source: Int
    /// The first element in the buffer.
    let slot: Int
    var count: Int
  }

  /// A run of elements between a buffer and a file.
  struct Write {
    /// The first element in the output tensor.
    let output: Int
    /// The first element in the buffer.
    let slot: Int
    var count: Int
  }

  /// One axis of the tile in memory, in the order of the output.
  private struct Axis {
    let extent: Int
    /// The distance of neighbours in the buffer of the source.
    let sourceSlot: Int
    /// The distance of neighbours in the buffer of the output.
    let outputSlot: Int
  }

  /// The runs to read, which fill the source buffer densely.
  let reads: [Read]
  /// The runs to write from the output buffer.
  let writes: [Write]
  /// The number of elements.
  let count: Int
  private let axes: [Axis]
  private let width: Int

  init(_ transfer: TensorTransfer, start: [Int], extents: [Int]) {
    let sizes = zip(transfer.axes, zip(start, extents)).map { axis, tile in
      min(tile.1, axis.extent - tile.0)
    }
    width = transfer.width
    // The buffer keeps the source's order: the larger the stride, the further out.
    let bySource = transfer.axes.indices.sorted {
      transfer.axes[$0].sourceStride > transfer.axes[$1].sourceStride
    }
    var sourceSlots = [Int](repeating: 1, count: sizes.count)
    var outputSlots = sourceSlots
    var size = 1
    for axis in bySource.reversed() {
      sourceSlots[axis] = size
      size *= sizes[axis]
    }
    size = 1
    for axis in sizes.indices.reversed() {
      outputSlots[axis] = size
      size *= sizes[axis]
    }
    count = size
    axes = sizes.indices.map {
      Axis(extent: sizes[$0], sourceSlot: sourceSlots[$0], outputSlot: outputSlots[$0])
    }
    let sourcePositions = TransferTile.positions(bySource.map { sizes[$0] }) { level, index in
      let axis = bySource[level]
      return transfer.axes[axis].sourceOffset(start[axis] + index)
    }
    reads = sourcePositions.map {
      Read(source: transfer.sourceOffset + $0.file, slot: $0.slot, count: $0.count)
    }
    let outputPositions = TransferTile.positions(sizes) { axis, index in
      (start[axis] + index) * transfer.axes[axis].outputStride
    }
    writes = outputPositions.map {
      Write(output: transfer.outputOffset + $0.file, slot: $0.slot, count: $0.count)
    }
  }

  /// The runs of a tile whose buffer is dense: positions in the file that follow one another are
  /// one.
  private static func positions(
    _ extents: [Int],
    _ position: (_ level: Int, _ index: Int) -> Int
  ) -> [(file: Int, slot: Int, count: Int)] {
    var runs: [(file: Int, slot: Int, count: Int)] = [(0, 0, 1)]
    var size = 1
    for level in extents.indices.reversed() {
      var next: [(file: Int, slot: Int, count: Int)] = []
      next.reserveCapacity(runs.count == 1 ? 1 : runs.count * extents[level])
      for index in 0..<extents[level] {
        let base = position(level, index)
        for run in runs {
          let moved = (file: base + run.file, slot: index * size + run.slot, count: run.count)
          if let last = next.last, last.file + last.count == moved.file,
            last.slot + last.count == moved.slot
          {
            next[next.count - 1].count += moved.count
          } else {
            next.append(moved)
          }
        }
      }
      runs = next
      size *= extents[level]
    }
    return runs
  }

  /// Brings the tile from the source's order into the output's.
  func gather(from source: UnsafeRawBufferPointer, to output: UnsafeMutableRawBufferPointer) {
    switch width {
    case 1: unsafe gather(source, output, as: UInt8.self)
    case 2: unsafe gather(source, output, as: UInt16.self)
    case 4: unsafe gather(source, output, as: UInt32.self)
    case 8: unsafe gather(source, output, as: UInt64.self)
    default: unsafe gather(source, output, as: SIMD2<UInt64>.self)
    }
  }

  @inline(__always)
  private func gather<Element>(
    _ source: UnsafeRawBufferPointer,
    _ output: UnsafeMutableRawBufferPointer,
    as type: Element.Type
  ) {
    guard let from = unsafe source.baseAddress?.assumingMemoryBound(to: type),
      let to = unsafe output.baseAddress?.assumingMemoryBound(to: type)
    else { return }
    // Two axes make the inner loops: the output's innermost and the source's innermost.
    let columns = axes.count - 1
    let rows = axes.indices.min { axes[$0].sourceSlot < axes[$1].sourceSlot } ?? columns
    let outer = axes.indices.filter { $0 != columns && $0 != rows }.map { axes[$0] }
    let column = axes[columns]
    let row = rows == columns ? Axis(extent: 1, sourceSlot: 0, outputSlot: 0) : axes[rows]
    var index = [Int](repeating: 0, count: outer.count)
    var start = (source: 0, output: 0)
    while true {
      unsafe TransferTile.transpose(from + start.source, to + start.output, row, column)
      var level = outer.count - 1
      while level >= 0 {
        index[level] += 1
        start.source += outer[level].sourceSlot
        start.output += outer[level].outputSlot
        if index[level] < outer[level].extent { break }
        start.source -= outer[level].extent * outer[level].sourceSlot
        start.output -= outer[level].extent * outer[level].outputSlot
        index[level] = 0
        level -= 1
      }
      if level < 0 { return }
    }
  }

  /// Copies a rectangle in blocks that stay in the first-level cache on both sides.
  @inline(__always)
  private static func transpose<Element>(
    _ source: UnsafePointer<Element>,
    _ output: UnsafeMutablePointer<Element>,
    _ row: Axis,
    _ column: Axis
  ) {
    let block = 16
    for firstRow in stride(from: 0, to: row.extent, by: block) {
      let lastRow = min(firstRow + block, row.extent)
      for firstColumn in stride(from: 0, to: column.extent, by: block) {
        let lastColumn = min(firstColumn + block, column.extent)
        for r in firstRow..<lastRow {
          var from = r * row.sourceSlot + firstColumn * column.sourceSlot
          var to = r * row.outputSlot + firstColumn * column.outputSlot
          for _ in firstColumn..<lastColumn {
            unsafe output[to] = source[from]
            from += column.sourceSlot
            to += column.outputSlot
          }
        }
      }
    }
  }
}
