extension ElementType {
  /// The narrowest unsigned type for the numbers from 0 to `count - 1`.
  public static func unsigned(holding count: UInt64) -> ElementType {
    switch count {
    case ...0x100: .uint8
    case ...0x1_0000: .uint16
    case ...0x1_0000_0000: .uint32
    default: .uint64
    }
  }
}
