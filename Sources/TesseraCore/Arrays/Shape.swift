/// The extents of a tensor, outermost first (row-major, C order).
public struct Shape: Hashable, Sendable, ExpressibleByArrayLiteral, CustomStringConvertible {
  /// The extent of each axis; empty for a scalar.
  public let dimensions: [Int]

  /// Creates a shape from extents, which must not be negative.
  public init(_ dimensions: [Int]) {
    precondition(dimensions.allSatisfy { $0 >= 0 }, "a dimension is never negative")
    self.dimensions = dimensions
  }

  /// Creates a shape from a literal such as `[3, 224, 224]`.
  public init(arrayLiteral elements: Int...) {
    self.init(elements)
  }

  /// The number of axes; 0 for a scalar.
  public var rank: Int { dimensions.count }

  /// The extent of one axis.
  public subscript(axis: Int) -> Int { dimensions[axis] }

  /// The number of elements, 1 for a scalar, or nil where the product overflows `Int`.
  ///
  /// A file may declare any extents: check this before allocating.
  public var elementCount: Int? {
    if dimensions.contains(0) { return 0 }
    return dimensions.product
  }

  /// The shape as `[3, 224, 224]`.
  public var description: String { "\(dimensions)" }
}

extension [Int] {
  /// The product of all; nil where it overflows.
  package var product: Int? {
    var product = 1
    for factor in self {
      let (next, overflow) = product.multipliedReportingOverflow(by: factor)
      if overflow { return nil }
      product = next
    }
    return product
  }
}
