import TesseraCore

/// One tensor seen under another layout, without moving a byte.
///
/// Element `[i0, i1, …]` of the view is element `offset + Σ stride · index` of the source.
struct TensorView: Sendable {
  /// A run of positions in the source.
  struct Axis: Hashable, Sendable {
    /// How many.
    var extent: Int
    /// The distance of neighbours in the source, in elements.
    var stride: Int
    /// Which position stands where, if not in ascending order.
    var order: [Int]?
  }

  /// The tensor that holds the data.
  let source: TensorSource
  /// What is done to each element on its way.
  private(set) var pipeline: ElementPipeline
  /// The source element of index 0.
  private(set) var offset = 0
  /// The axes of each dimension, outermost first; none for an extent of 1.
  private(set) var groups: [[Axis]]

  /// Sees a tensor as it is stored.
  init(_ source: TensorSource) {
    self.source = source
    pipeline = ElementPipeline(source.elementType)
    var stride = 1
    var groups: [[Axis]] = []
    for extent in source.shape.dimensions.reversed() {
      groups.append(extent == 1 ? [] : [Axis(extent: extent, stride: stride)])
      // A tensor without elements may have any extents, and no use for its strides.
      stride = stride.multipliedReportingOverflow(by: extent).partialValue
    }
    self.groups = groups.reversed()
  }

  /// The extents of the view.
  var shape: Shape { Shape(groups.map { $0.reduce(1) { $0 * $1.extent } }) }

  /// The view with one more step for each element.
  func appending(_ step: ElementPipeline.Step) -> TensorView {
    var view = self
    view.pipeline = pipeline.appending(step)
    return view
  }

  /// The view with its dimensions in another order.
  func permuted(_ axes: [Int]) -> TensorView {
    var view = self
    view.groups = axes.map { groups[$0] }
    return view
  }

  /// The view under other extents; nil where a new dimension would cut through permuted ones.
  func reshaped(to shape: Shape) -> TensorView? {
    var view = self
    guard shape.elementCount != 0 else {
      // Without elements any strides will do.
      view.groups = shape.dimensions.map { [Axis(extent: $0, stride: 1)] }
      return view
    }
    var rest = TensorView.coalesced(groups.flatMap { $0 })
    view.groups = []
    for extent in shape.dimensions {
      guard let group = TensorView.take(extent, from: &rest) else { return nil }
      view.groups.append(group)
    }
    return rest.isEmpty ? view : nil
  }

  /// A range of one dimension; nil where the range cuts through blocks.
  func sliced(axis: Int, _ range: Range<Int>) -> TensorView? {
    var view = self
    var group = TensorView.coalesced(groups[axis])
    guard let outer = group.first else { return range == 0..<1 ? self : nil }
    let inner = group.dropFirst().reduce(1) { $0 * $1.extent }
    guard inner > 0, range.lowerBound % inner == 0, range.count % inner == 0 else { return nil }
    let positions = range.lowerBound / inner..<range.upperBound / inner
    group[0].extent = positions.count
    if let order = outer.order {
      group[0].order = Array(order[positions])
    } else {
      view.offset += positions.lowerBound * outer.stride
    }
    if group[0].extent == 1 {
      view.offset += (group[0].order?.first ?? 0) * outer.stride
      group.removeFirst()
    }
    view.groups[axis] = group
    return view
  }

  /// The view with equal blocks of one dimension in another order; nil where blocks cross others.
  func blocksPermuted(axis: Int, _ order: [Int]) -> TensorView? {
    var view = self
    var inner = TensorView.coalesced(groups[axis])
    if order.count == 1 || shape.elementCount == 0 { return self }
    guard var blocks = TensorView.take(order.count, from: &inner), blocks.count == 1 else {
      return nil
    }
    let composed = order.map { position in blocks[0].order?[position] ?? position }
    blocks[0].order = composed == Array(0..<order.count) ? nil : composed
    view.groups[axis] = TensorView.coalesced(blocks + inner)
    return view
  }

  /// Takes axes that make up an extent from the front, splitting the last one where it must.
  private static func take(_ extent: Int, from axes: inout [Axis]) -> [Axis]? {
    var taken: [Axis] = []
    var rest = extent
    while rest > 1 {
      guard let axis = axes.first else { return nil }
      if rest % axis.extent == 0 {
        taken.append(axis)
        axes.removeFirst()
        rest /= axis.extent
      } else {
        guard axis.extent % rest == 0, axis.order == nil else { return nil }
        let inner = axis.extent / rest
        taken.append(Axis(extent: rest, stride: axis.stride * inner))
        axes[0].extent = inner
        rest = 1
      }
    }
    return taken
  }

  /// Joins neighbours that are one run in the source.
  private static func coalesced(_ axes: [Axis]) -> [Axis] {
    axes.reduce(into: []) { joined, axis in
      guard let last = joined.last, last.order == nil, axis.order == nil,
        last.stride == axis.stride * axis.extent
      else {
        joined.append(axis)
        return
      }
      joined[joined.count - 1] = Axis(extent: last.extent * axis.extent, stride: axis.stride)
    }
  }
}
